// Reading the options of `partition`.
#include "worker/partition/partition_options.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/base/text.h"

namespace gnnflow {
namespace {

constexpr int kMostParts = 4096;
const std::vector<std::string> kMethods = {"metis", "random"};
const std::vector<std::string> kObjectives = {"cut"};
const std::vector<std::string> kConstraints = {"nodes", "edges", "train", "val", "test"};

bool among(const std::vector<std::string>& list, const std::string& word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

}  // namespace

Result<PartitionOptions> PartitionOptions::from_json(const Json& json) {
  Fields fields(json, "partition", Cause::bad_workflow);
  PartitionOptions options;
  const int64_t parts = fields.integer_or("parts", options.parts);
  options.method = fields.text_or("method", options.method);
  options.objective = fields.text_or("objective", options.objective);
  options.imbalance = fields.number_or("imbalance", options.imbalance);
  options.seed = fields.integer_or("seed", options.seed);
  const std::string memory = fields.text_or("memory", "0");
  if (const Json* balance = fields.optional("balance")) {
    options.balance.clear();
    if (!balance->is_array()) fields.fail("'balance' is not a list");
    for (const Json& word : balance->is_array() ? balance->array() : Json::Array()) {
      options.balance.push_back(word.is_string() ? word.string() : word.dump());
    }
  }
  if (parts < 1 || parts > kMostParts)
    fields.fail(fmt::format("'parts' is {}, not 1 to {}", parts, kMostParts));
  if (!among(kMethods, options.method)) {
    fields.fail(fmt::format("'method' is '{}', not one of {}", options.method, join(kMethods, ", ")));
  }
  if (!among(kObjectives, options.objective)) {
    fields.fail(
        fmt::format("'objective' is '{}', not one of {}", options.objective, join(kObjectives, ", ")));
  }
  for (size_t i = 0; i < options.balance.size(); ++i) {
    const std::string& word = options.balance[i];
    if (!among(kConstraints, word)) {
      fields.fail(fmt::format("'balance' has '{}', not one of {}", word, join(kConstraints, ", ")));
    }
    if (std::count(options.balance.begin(), options.balance.end(), word) > 1) {
      fields.fail(fmt::format("'balance' has '{}' twice", word));
    }
  }
  if (!(options.imbalance > 1 && options.imbalance <= 10)) {
    fields.fail(fmt::format("'imbalance' is {}, not above 1 and up to 10", options.imbalance));
  }
  if (const auto bytes = parse_bytes(memory)) {
    options.memory = *bytes;
  } else {
    fields.fail(fmt::format("'memory' is '{}', not a size such as 8GiB", memory));
  }
  TRY(fields.finish());
  options.parts = static_cast<int>(parts);
  return options;
}

Json PartitionOptions::to_json() const {
  return Json::Object{{"parts", parts},
                      {"method", method},
                      {"balance", Json::Array(balance.begin(), balance.end())},
                      {"imbalance", imbalance},
                      {"objective", objective},
                      {"seed", seed}};
}

}  // namespace gnnflow
