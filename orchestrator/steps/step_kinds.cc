// The table of kinds.
#include "orchestrator/steps/step_kinds.h"

#include <algorithm>

#include "orchestrator/steps/kinds.h"

namespace gnnflow {

const StepKinds& step_kinds() {
  static const StepKinds kinds = [] {
    StepKinds table;
    for (const Step* step : {&generate_step(), &import_step(), &partition_step(), &copy_step(),
                             &launch_step(), &train_step(), &evaluate_step(), &exec_step()}) {
      table.emplace(step->schema().kind, step);
    }
    return table;
  }();
  return kinds;
}

const KindSchema& schema_of_kind(std::string_view kind) {
  static const std::vector<KindSchema> schemas = kind_schemas();
  const auto found = std::find_if(schemas.begin(), schemas.end(),
                                  [&](const KindSchema& schema) { return schema.kind == kind; });
  if (found == schemas.end()) bug("no schema of kind " + std::string(kind));
  return *found;
}

const StepEntry* referred(const Workflow& workflow, const StepEntry& step, std::string_view option) {
  for (const StepReference& reference : step.references) {
    if (reference.option == option) return workflow.step(reference.step);
  }
  return nullptr;
}

TaskPlan worker_task(const StepEntry& step) {
  TaskPlan task;
  task.host = step.options.text_or("host", kController);
  task.program = "worker";
  task.cores = kAllCores;
  task.spec["kind"] = step.kind;
  task.spec["options"] = step.options;
  return task;
}

}  // namespace gnnflow
