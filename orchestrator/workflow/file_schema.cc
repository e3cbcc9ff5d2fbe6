// Tables of keys, types, limits and defaults.
#include "orchestrator/workflow/file_schema.h"

namespace gnnflow {
namespace {

constexpr double kSecond = 1000, kDay = 86'400'000;

OptionSchema option(std::string key, OptionType type, std::string help) {
  OptionSchema schema;
  schema.key = std::move(key);
  schema.type = type;
  schema.help = std::move(help);
  schema.in_key = false;
  return schema;
}

OptionSchema required(OptionSchema schema) {
  schema.required = true;
  return schema;
}

OptionSchema within(OptionSchema schema, double least, double most) {
  schema.least = least;
  schema.most = most;
  return schema;
}

OptionSchema with_default(OptionSchema schema, Json otherwise) {
  schema.otherwise = std::move(otherwise);
  return schema;
}

OptionSchema list_of(OptionType element, OptionSchema schema) {
  schema.element = element;
  return schema;
}

OptionSchema timeout() {
  return within(option("timeout", OptionType::duration, "how long an attempt may take; without it: no limit"),
                kSecond, 365 * kDay);
}
OptionSchema retries() {
  return within(option("retries", OptionType::integer,
                       "how often a step is tried again after one of its programs failed"),
                0, 100);
}
OptionSchema lost_retries() {
  return within(option("lost_retries", OptionType::integer,
                       "how often a step is tried again after a host or connection was lost"),
                0, 100);
}

}  // namespace

const std::vector<OptionSchema>& top_schema() {
  static const std::vector<OptionSchema> schema = {
      required(within(option("gnnflow", OptionType::integer, "version of the file format: 1"), 1, 1)),
      required(option("name", OptionType::text,
                      "name of the workflow: letters, digits, _ and -; its state is kept under it")),
      list_of(OptionType::text,
              option("env", OptionType::list, "variables of the environment that ${env.NAME} may name")),
      option("params", OptionType::map, "parameters with their defaults, which give their types"),
      option("hosts", OptionType::map, "the machines, by name"),
      option("defaults", OptionType::map, "what holds for every step that does not say otherwise"),
      required(option("steps", OptionType::list, "what is done")),
  };
  return schema;
}

const std::vector<OptionSchema>& host_schema() {
  static const std::vector<OptionSchema> schema = {
      with_default(option("address", OptionType::text, "`local`, or a name or address that ssh can reach"),
                   "local"),
      option("user", OptionType::text, "account on the host; default: what ~/.ssh/config says"),
      within(option("port", OptionType::integer, "port of its ssh server; default: what ~/.ssh/config says"),
             1, 65535),
      option("identity", OptionType::text, "private key file; default: what ~/.ssh/config says"),
      with_default(
          option("workspace", OptionType::text, "folder on the host for all that gnnflow keeps there"),
          "~/.cache/gnnflow"),
      option("data_address", OptionType::text,
             "address for graph servers and gradients; default: found from the routes between hosts"),
  };
  return schema;
}

const std::vector<OptionSchema>& defaults_schema() {
  static const std::vector<OptionSchema> schema = {
      timeout(),
      with_default(retries(), 0),
      with_default(lost_retries(), 2),
      with_default(
          within(option("lease", OptionType::duration, "how long hosts go on without the controller"),
                 3 * kSecond, 7 * kDay),
          600'000),
      with_default(within(option("grace", OptionType::duration,
                                 "how long a job has from being asked to end to being killed"),
                          100, kDay / 24),
                   10'000),
      with_default(option("checkpoint_copy", OptionType::bytes,
                          "checkpoints up to this size are copied to the controller while training; 0: none"),
                   int64_t{1} << 30),
  };
  return schema;
}

const std::vector<OptionSchema>& step_schema() {
  static const std::vector<OptionSchema> schema = {
      required(option("name", OptionType::text, "name of the step: letters, digits, _ and -")),
      list_of(OptionType::text,
              option("needs", OptionType::list, "steps that must be done first, beyond those it refers to")),
      retries(),
      lost_retries(),
      timeout(),
  };
  return schema;
}

}  // namespace gnnflow
