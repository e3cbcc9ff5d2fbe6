// The models there are, by name.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/base/json.h"
#include "common/base/result.h"
#include "worker/trainer/models/model.h"

namespace gnnflow {

// `options`: {kind, ...}, checked against the model's own list; bad_workflow with a suggestion.
Result<std::unique_ptr<Model>> make_model(const Json& options, const ModelShape& shape);
std::vector<std::string> model_kinds();

// One per file of this folder.
Result<std::unique_ptr<Model>> make_sage(const Json& options, const ModelShape& shape);
Result<std::unique_ptr<Model>> make_mlp(const Json& options, const ModelShape& shape);

}  // namespace gnnflow
