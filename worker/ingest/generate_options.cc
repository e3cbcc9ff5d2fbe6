// Presets of the generator and the reading of its options.
#include "worker/ingest/generate_options.h"

#include <vector>

#include <fmt/format.h>

#include "common/base/text.h"

namespace gnnflow {
namespace {

constexpr int64_t kMostNodes = int64_t{1} << 31;
constexpr int64_t kMostClasses = 32'000;  // labels are i2 at most

const GenerateOptions kPresets[] = {
    {"tiny", 0, 2'000, 12, 16, 3, 0.8, 5.0, 0.0, 0.4, 0.1},
    {"products-small", 0, 245'000, 54.3, 100, 47, 0.75, 5.0, 0.1, 0.08, 0.02},
};

Status check(const GenerateOptions& options) {
  const auto bad = [](std::string text) { return Error{Cause::bad_workflow, "generate: " + text}; };
  if (options.nodes < 1 || options.nodes > kMostNodes)
    return bad(fmt::format("'nodes' is {}, not 1 to {}", options.nodes, kMostNodes));
  if (!(options.average_degree >= 1) || options.average_degree > static_cast<double>(options.nodes)) {
    return bad(fmt::format("'average_degree' is {}, not 1 to the number of nodes", options.average_degree));
  }
  if (options.features < 1 || options.features > 65'536)
    return bad(fmt::format("'features' is {}, not 1 to 65536", options.features));
  if (options.classes < 1 || options.classes > std::min(kMostClasses, options.nodes)) {
    return bad(
        fmt::format("'classes' is {}, not 1 to {}", options.classes, std::min(kMostClasses, options.nodes)));
  }
  if (!(options.homophily >= 0 && options.homophily <= 1))
    return bad(fmt::format("'homophily' is {}, not 0 to 1", options.homophily));
  if (!(options.noise >= 0 && options.noise <= 1000))
    return bad(fmt::format("'noise' is {}, not 0 to 1000", options.noise));
  if (!(options.label_noise >= 0 && options.label_noise <= 1)) {
    return bad(fmt::format("'label_noise' is {}, not 0 to 1", options.label_noise));
  }
  if (!(options.train_share >= 0 && options.val_share >= 0 && options.train_share + options.val_share <= 1)) {
    return bad(fmt::format("'train_share' {} and 'val_share' {} are no shares of the nodes",
                           options.train_share, options.val_share));
  }
  return {};
}

}  // namespace

std::span<const GenerateOptions> generate_presets() { return kPresets; }

Result<GenerateOptions> GenerateOptions::from_json(const Json& json) {
  Fields fields(json, "generate", Cause::bad_workflow);
  const std::string name = fields.text_or("preset", kPresets[0].preset);
  std::vector<std::string> names;
  const GenerateOptions* preset = nullptr;
  for (const GenerateOptions& row : kPresets) {
    names.push_back(row.preset);
    if (row.preset == name) preset = &row;
  }
  if (preset == nullptr) {
    return Error{Cause::bad_workflow,
                 fmt::format("generate: no preset '{}'; there are {}", name, join(names, ", "))};
  }
  GenerateOptions options = *preset;
  options.seed = fields.integer_or("seed", options.seed);
  options.nodes = fields.integer_or("nodes", options.nodes);
  options.average_degree = fields.number_or("average_degree", options.average_degree);
  options.features = fields.integer_or("features", options.features);
  options.classes = fields.integer_or("classes", options.classes);
  options.homophily = fields.number_or("homophily", options.homophily);
  options.noise = fields.number_or("noise", options.noise);
  options.label_noise = fields.number_or("label_noise", options.label_noise);
  options.train_share = fields.number_or("train_share", options.train_share);
  options.val_share = fields.number_or("val_share", options.val_share);
  TRY(fields.finish());
  TRY(check(options));
  return options;
}

Json GenerateOptions::to_json() const {
  return Json::Object{
      {"preset", preset},           {"seed", seed},          {"nodes", nodes},
      {"features", features},       {"classes", classes},    {"average_degree", average_degree},
      {"homophily", homophily},     {"noise", noise},        {"label_noise", label_noise},
      {"train_share", train_share}, {"val_share", val_share}};
}

}  // namespace gnnflow
