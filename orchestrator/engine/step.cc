// What most kinds of steps have in common.
#include "orchestrator/engine/step.h"

#include <algorithm>

namespace gnnflow {

const Piece* Made::piece(std::string_view name) const {
  const auto found =
      std::find_if(pieces.begin(), pieces.end(), [&](const Piece& piece) { return piece.name == name; });
  return found == pieces.end() ? nullptr : &*found;
}

const Made* Scene::made_by(std::string_view name) const {
  const auto found = made->find(name);
  return found == made->end() ? nullptr : &found->second;
}

Status Step::check(const Workflow&, const StepEntry&) const { return {}; }

std::optional<OutputSchema> Step::output(const StepEntry& step, std::string_view name) const {
  const KindSchema& kind = schema();
  for (const OutputSchema& output : kind.outputs) {
    if (output.name == name || name.empty()) return output;
  }
  if (kind.outputs_from.empty()) return std::nullopt;
  const Json& further = step.options.get(kind.outputs_from);
  if (!further.is_object()) return std::nullopt;
  const bool numbered = !kind.numbered_by.empty() && step.options.has(kind.numbered_by);
  const std::string_view wanted = numbered ? without_number(name) : name;
  if (numbered && wanted.empty()) return std::nullopt;
  for (const auto& [key, path] : further.object()) {
    if ((key == wanted || wanted.empty()) && path.is_string()) {
      const std::string piece = numbered ? std::string(name) : key;
      return OutputSchema{piece, piece, fs::path(path.string()).filename()};
    }
  }
  return std::nullopt;
}

std::string Step::service(const Workflow&, const StepEntry&) const { return ""; }
Result<Json> Step::key_extra(const Scene&) const { return Json(); }
std::vector<ContentPath> Step::content(const Workflow&, const StepEntry&) const { return {}; }
Result<Holders> Step::holders(const Scene&) const { return Holders(); }
Result<std::vector<TaskPlan>> Step::tasks(const Scene&) const { return std::vector<TaskPlan>(); }
std::string Step::headline(const Made&, const fs::path& path) const { return path.string(); }

}  // namespace gnnflow
