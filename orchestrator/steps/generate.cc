// generate: a made-up graph with labels that need its edges.
#include "orchestrator/steps/kinds.h"

namespace gnnflow {
namespace {

class GenerateStep final : public Step {
 public:
  const KindSchema& schema() const override { return schema_of_kind("generate"); }
  Result<std::vector<TaskPlan>> tasks(const Scene& scene) const override {
    TaskPlan task = worker_task(*scene.step);
    task.pieces = {"graph"};
    return std::vector{std::move(task)};
  }
};

}  // namespace

const Step& generate_step() {
  static const GenerateStep step;
  return step;
}

}  // namespace gnnflow
