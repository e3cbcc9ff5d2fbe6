// Reads the sections of a workflow file in the order in which they depend on each other.
#include "orchestrator/workflow/workflow_reader.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/base/text.h"
#include "orchestrator/workflow/file_schema.h"
#include "orchestrator/workflow/parameters.h"
#include "orchestrator/workflow/step_reader.h"
#include "orchestrator/workflow/value_reader.h"

namespace gnnflow {
namespace {

class WorkflowReader {
 public:
  WorkflowReader(YamlNode document, const LoadOptions& options, Problems& problems)
      : document_(std::move(document)), options_(options), problems_(problems) {}

  Result<Workflow> run() {
    if (document_.kind != YamlNode::Kind::map) {
      problems_.add(document_.at, fmt::format("a workflow file is a map, not {}", describe(document_)),
                    "it begins with: gnnflow: 1");
      return std::move(workflow_);
    }
    read_top();
    scope_.env = read_env(section("env"), problems_);
    scope_.params = read_params(section("params"), scope_, problems_);
    if (problems_.empty()) keep_params(scope_.params, options_.params);
    if (problems_.empty()) TRY(set_params(scope_.params, options_.set));
    workflow_.params = Json(scope_.params);
    read_hosts();
    read_defaults();
    if (YamlNode* steps = section("steps")) {
      scope_.steps = true;
      evaluate(*steps, scope_, problems_);
      workflow_.steps = read_steps(*steps, {options_.kinds, host_names_, defaults_}, problems_);
    }
    return std::move(workflow_);
  }

 private:
  YamlNode* section(std::string_view key) {
    for (auto& [name, value] : document_.members) {
      if (name.text == key && !value.broken) return &value;
    }
    return nullptr;
  }

  // The top's keys, and the values of those that are scalars.
  void read_top() {
    std::vector<OptionSchema> scalars;
    std::vector<std::string> keys;
    for (const OptionSchema& schema : top_schema()) keys.push_back(schema.key);
    for (const auto& [key, value] : document_.members) {
      if (std::find(keys.begin(), keys.end(), key.text) == keys.end()) {
        problems_.add(key.at,
                      fmt::format("unknown key '{}' in the workflow{}", key.text, suggestion(key.text, keys)),
                      fmt::format("known: {}", join(keys, ", ")));
      }
    }
    for (const OptionSchema& schema : top_schema()) {
      YamlNode* value = section(schema.key);
      bool absent = !document_.find(schema.key);
      if (absent && schema.required) {
        problems_.add({0, 0}, fmt::format("missing key '{}' in the workflow", schema.key),
                      fmt::format("{}: {}", schema.key, schema.help));
      }
      if (value && (schema.key == "gnnflow" || schema.key == "name")) read_scalar(*value, schema);
    }
  }

  void read_scalar(YamlNode& value, const OptionSchema& schema) {
    evaluate(value, {}, problems_);
    ValueReader reader(problems_, "the workflow", nullptr);
    Json read = reader.read(value, schema, schema.key);
    if (schema.key != "name" || !read.is_string()) return;
    workflow_.name = read.string();
    if (!is_name(workflow_.name)) {
      problems_.add(value.at, fmt::format("'{}' is no name of a workflow: up to 64 letters, digits, _ and -",
                                          workflow_.name));
    }
  }

  void read_hosts() {
    host_names_ = {std::string(kController)};
    YamlNode* hosts = section("hosts");
    if (!hosts || hosts->kind == YamlNode::Kind::null) return;
    if (hosts->kind != YamlNode::Kind::map) {
      problems_.add(hosts->at, fmt::format("'hosts' must be a map, not {}", describe(*hosts)),
                    "hosts: { node1: { address: local } }");
      return;
    }
    evaluate(*hosts, scope_, problems_);
    for (const auto& [key, value] : hosts->members) {
      if (!value.broken) read_host(key, value);
      host_names_.push_back(key.text);
    }
  }

  void read_host(const YamlNode& key, const YamlNode& value) {
    if (key.text == kController) {
      problems_.add(key.at, "'controller' is reserved: it is this machine, and always there",
                    "give the host another name");
    } else if (!is_name(key.text)) {
      problems_.add(key.at,
                    fmt::format("'{}' is no name of a host: up to 64 letters, digits, _ and -", key.text));
    }
    if (value.kind != YamlNode::Kind::map) {
      problems_.add(value.at, fmt::format("host '{}' must be a map, not {}", key.text, describe(value)),
                    fmt::format("{}: {{ address: local }}", key.text));
      return;
    }
    std::string where = fmt::format("host '{}'", key.text);
    size_t before = problems_.count();
    Json read = ValueReader(problems_, where, nullptr).read_members(value, host_schema(), "", key.at);
    HostEntry host;
    host.name = key.text;
    host.address = read.text_or("address", "local");
    host.user = read.text_or("user", "");
    host.identity = read.text_or("identity", "");
    host.workspace = read.text_or("workspace", "");
    host.data_address = read.text_or("data_address", "");
    host.port = static_cast<int>(read.integer_or("port", 0));
    if (problems_.count() == before) check_host(host, value);
    workflow_.hosts.push_back(std::move(host));
  }

  void check_host(const HostEntry& host, const YamlNode& value) {
    if (host.address == "local") {
      for (const char* key : {"user", "port", "identity"}) {
        const YamlNode* given = value.find(key);
        if (given)
          problems_.add(given->at, fmt::format("'{}' of host '{}' has no meaning: its address is local", key,
                                               host.name));
      }
    }
    if (host.data_address == "0.0.0.0" || host.data_address == "::" || host.data_address == "*") {
      problems_.add(
          value.find("data_address")->at,
          fmt::format("'data_address' of host '{}' must be one address, not '{}', which is all of them",
                      host.name, host.data_address));
    }
  }

  void read_defaults() {
    YamlNode nothing;
    YamlNode* node = section("defaults");
    if (node) evaluate(*node, scope_, problems_);
    if (node && node->kind != YamlNode::Kind::map && node->kind != YamlNode::Kind::null) {
      problems_.add(node->at, fmt::format("'defaults' must be a map, not {}", describe(*node)),
                    "defaults: { retries: 1 }");
      node = nullptr;
    }
    ValueReader reader(problems_, "defaults", nullptr);
    Json read = reader.read_members(node ? *node : nothing, defaults_schema(), "", {0, 0});
    defaults_.retries = static_cast<int>(read.integer_or("retries", 0));
    defaults_.lost_retries = static_cast<int>(read.integer_or("lost_retries", 2));
    defaults_.timeout = Milliseconds(read.integer_or("timeout", 0));
    workflow_.lease = Milliseconds(read.integer_or("lease", 600'000));
    workflow_.grace = Milliseconds(read.integer_or("grace", 10'000));
    workflow_.checkpoint_copy = read.integer_or("checkpoint_copy", workflow_.checkpoint_copy);
  }

  YamlNode document_;
  const LoadOptions& options_;
  Problems& problems_;
  Scope scope_;
  std::vector<std::string> host_names_;
  StepDefaults defaults_;
  Workflow workflow_;
};

}  // namespace

Result<Workflow> read_workflow(YamlNode document, const LoadOptions& options, Problems& problems) {
  return WorkflowReader(std::move(document), options, problems).run();
}

const StepEntry* Workflow::step(std::string_view wanted) const {
  for (const StepEntry& entry : steps) {
    if (entry.name == wanted) return &entry;
  }
  return nullptr;
}

const HostEntry* Workflow::host(std::string_view wanted) const {
  for (const HostEntry& entry : hosts) {
    if (entry.name == wanted) return &entry;
  }
  return nullptr;
}

}  // namespace gnnflow
