// copy: a placement of a partition's parts on hosts. The engine moves the files.
#include "orchestrator/steps/kinds.h"
#include "orchestrator/steps/placing.h"

namespace gnnflow {
namespace {

class CopyStep final : public Step {
 public:
  const KindSchema& schema() const override { return schema_of_kind("copy"); }
  Nature nature() const override { return Nature::placement; }
  Status check(const Workflow& workflow, const StepEntry& step) const override {
    const auto placed = placed_by(workflow, step);
    return placed ? Status() : Status(placed.error());
  }
  Result<Holders> holders(const Scene& scene) const override {
    return placed_by(*scene.workflow, *scene.step);
  }

 private:
  static Result<Holders> placed_by(const Workflow& workflow, const StepEntry& step) {
    const StepEntry* partition = referred(workflow, step, "partition");
    return place_parts(static_cast<int>(partition->options.integer_or("parts", 0)), step.options.get("place"),
                       workflow);
  }
};

}  // namespace

const Step& copy_step() {
  static const CopyStep step;
  return step;
}

}  // namespace gnnflow
