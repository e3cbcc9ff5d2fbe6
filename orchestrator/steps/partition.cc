// partition: a graph cut into parts.
#include "orchestrator/steps/kinds.h"

namespace gnnflow {
namespace {

class PartitionStep final : public Step {
 public:
  const KindSchema& schema() const override { return schema_of_kind("partition"); }
  Result<std::vector<TaskPlan>> tasks(const Scene& scene) const override {
    TaskPlan task = worker_task(*scene.step);
    task.spec["options"].object().erase("graph");  // it comes as a path
    task.inputs = {{"graph", referred(*scene.workflow, *scene.step, "graph")->name, "graph"}};
    task.pieces = {"partition"};
    return std::vector{std::move(task)};
  }
};

}  // namespace

const Step& partition_step() {
  static const PartitionStep step;
  return step;
}

}  // namespace gnnflow
