// The table of models.
#include "worker/trainer/models/registry.h"

#include <fmt/format.h>

#include "common/base/text.h"

namespace gnnflow {
namespace {

struct Row {
  std::string_view kind;
  Result<std::unique_ptr<Model>> (*make)(const Json& options, const ModelShape& shape);
};
constexpr Row kModels[] = {{"sage", &make_sage}, {"mlp", &make_mlp}};

}  // namespace

std::vector<std::string> model_kinds() {
  std::vector<std::string> kinds;
  for (const Row& row : kModels) kinds.emplace_back(row.kind);
  return kinds;
}

Result<std::unique_ptr<Model>> make_model(const Json& options, const ModelShape& shape) {
  const std::string kind{options.text_or("kind", "")};
  if (shape.inputs <= 0) return Error{Cause::bad_data, "the graph has no features; a model needs some"};
  if (shape.classes <= 0)
    return Error{Cause::bad_data, "the graph has no classes; a model needs integer labels"};
  for (const Row& row : kModels) {
    if (row.kind == kind) return row.make(options, shape);
  }
  const auto kinds = model_kinds();
  const auto near = nearest(kind, kinds);
  return Error{Cause::bad_workflow,
               near ? fmt::format("unknown model '{}'; did you mean '{}'?", kind, *near)
                    : fmt::format("unknown model '{}'; one of: {}", kind, join(kinds, ", "))};
}

}  // namespace gnnflow
