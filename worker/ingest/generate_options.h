// What `generate` is asked to make: a preset, and what of it is said otherwise.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/base/json.h"
#include "common/base/result.h"

namespace gnnflow {

struct GenerateOptions {
  std::string preset = "tiny";
  int64_t seed = 0;
  int64_t nodes = 0;
  double average_degree = 0;  // in-edges a node, before duplicates are dropped
  int64_t features = 0;
  int64_t classes = 0;
  double homophily = 0;    // share of edges drawn inside the class; the others go anywhere
  double noise = 0;        // of a feature, against class means of size 1
  double label_noise = 0;  // share of the nodes whose label is drawn again, whatever their class
  double train_share = 0, val_share = 0;  // of the nodes; the rest is tested

  // The preset's values, replaced by those in `options`. `bad_workflow` names the key.
  static Result<GenerateOptions> from_json(const Json& options);
  Json to_json() const;
};

std::span<const GenerateOptions> generate_presets();

}  // namespace gnnflow
