// exec: a command of the user's own, in a folder of its own, with the inputs and outputs that it names.
#include "orchestrator/steps/kinds.h"

namespace gnnflow {
namespace {

std::vector<std::string> inputs_of(const StepEntry& step) {
  std::vector<std::string> inputs;
  const Json& list = step.options.get("inputs");
  if (!list.is_array()) return inputs;
  for (const Json& input : list.array()) inputs.push_back(input.string());
  return inputs;
}

class ExecStep final : public Step {
 public:
  const KindSchema& schema() const override { return schema_of_kind("exec"); }
  std::vector<ContentPath> content(const Workflow& workflow, const StepEntry& step) const override {
    std::vector<ContentPath> paths;
    for (const std::string& input : inputs_of(step))
      paths.push_back({input, workflow.file.parent_path() / input});
    return paths;
  }
  Result<std::vector<TaskPlan>> tasks(const Scene& scene) const override {
    const StepEntry& step = *scene.step;
    TaskPlan task;
    task.host = step.options.text_or("host", kController);
    task.program = "exec";
    task.cores = 1;
    task.spec["kind"] = "exec";
    for (const char* name : {"command", "environment", "outputs"}) {
      if (step.options.has(name)) task.spec[name] = step.options.get(name);
    }
    for (const std::string& input : inputs_of(step)) {
      task.local_inputs.push_back({"", scene.workflow->file.parent_path() / input, input});
    }
    if (const Json& outputs = step.options.get("outputs"); outputs.is_object()) {
      for (const auto& [name, path] : outputs.object()) task.pieces.push_back(name);
    }
    return std::vector{std::move(task)};
  }
};

}  // namespace

const Step& exec_step() {
  static const ExecStep step;
  return step;
}

}  // namespace gnnflow
