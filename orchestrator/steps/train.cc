// train: ranks that train one model in step. Rank 0 publishes it.
#include <fmt/format.h>

#include "orchestrator/steps/kinds.h"
#include "orchestrator/steps/ranks.h"

namespace gnnflow {
namespace {

class TrainStep final : public Step {
 public:
  const KindSchema& schema() const override { return schema_of_kind("train"); }
  std::string service(const Workflow& workflow, const StepEntry& step) const override {
    const StepEntry* launch = launch_of(workflow, step);
    return launch ? launch->name : "";
  }
  Result<Json> key_extra(const Scene& scene) const override { return ranks_key(scene); }
  std::vector<std::string> not_in_resume_key() const override { return {"epochs", "early_stop"}; }
  bool has_ranks() const override { return true; }
  bool comes_home() const override { return true; }
  Result<std::vector<TaskPlan>> tasks(const Scene& scene) const override {
    auto tasks = rank_tasks(scene);
    if (tasks.empty()) return Error{Cause::bad_workflow, "no host holds a part to train on"};
    tasks.front().pieces = {"model"};
    return tasks;
  }
  std::string headline(const Made& made, const fs::path& path) const override {
    const std::string file = (path / "best/model.safetensors").string();
    const double best = made.result.number_or("best_val_accuracy", -1);
    return best < 0 ? file : fmt::format("validation accuracy {:.4f} ({})", best, file);
  }
};

}  // namespace

const Step& train_step() {
  static const TrainStep step;
  return step;
}

}  // namespace gnnflow
