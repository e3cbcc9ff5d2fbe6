// evaluate: the ranks of a training score its best model. Rank 0 publishes the score.
#include <fmt/format.h>

#include "orchestrator/steps/kinds.h"
#include "orchestrator/steps/ranks.h"

namespace gnnflow {
namespace {

class EvaluateStep final : public Step {
 public:
  const KindSchema& schema() const override { return schema_of_kind("evaluate"); }
  std::string service(const Workflow& workflow, const StepEntry& step) const override {
    const StepEntry* launch = launch_of(workflow, step);
    return launch ? launch->name : "";
  }
  Result<Json> key_extra(const Scene& scene) const override { return ranks_key(scene); }
  bool has_ranks() const override { return true; }
  bool comes_home() const override { return true; }
  Result<std::vector<TaskPlan>> tasks(const Scene& scene) const override {
    auto tasks = rank_tasks(scene);
    if (tasks.empty()) return Error{Cause::bad_workflow, "no host holds a part to evaluate on"};
    for (TaskPlan& task : tasks)
      task.inputs.push_back({"model", training_of(*scene.workflow, *scene.step)->name, "model"});
    tasks.front().pieces = {"score"};
    return tasks;
  }
  std::string headline(const Made& made, const fs::path& path) const override {
    return fmt::format("{} accuracy {:.4f} ({})", made.result.text_or("split", "test"),
                       made.result.number_or("accuracy", 0), (path / "metrics.json").string());
  }
};

}  // namespace

const Step& evaluate_step() {
  static const EvaluateStep step;
  return step;
}

}  // namespace gnnflow
