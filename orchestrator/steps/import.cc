// import: a data set of this machine turned into a graph directory. Its files count by content.
#include "common/base/home.h"
#include "orchestrator/steps/kinds.h"

namespace gnnflow {
namespace {

// "~/x" is below the home folder, all else relative to the workflow file.
fs::path source_of(const Workflow& workflow, const StepEntry& step) {
  const std::string source = step.options.text_or("source", "");
  // (An absolute path stands for itself.)
  fs::path path = (workflow.file.parent_path() / expand_home(source).value_or(source)).lexically_normal();
  return path.has_filename() ? path : path.parent_path();
}

class ImportStep final : public Step {
 public:
  const KindSchema& schema() const override { return schema_of_kind("import"); }
  std::vector<ContentPath> content(const Workflow& workflow, const StepEntry& step) const override {
    return {{"source", source_of(workflow, step)}};
  }
  Result<std::vector<TaskPlan>> tasks(const Scene& scene) const override {
    TaskPlan task = worker_task(*scene.step);
    task.local_inputs = {{"source", source_of(*scene.workflow, *scene.step), ""}};
    task.pieces = {"graph"};
    return std::vector{std::move(task)};
  }
};

}  // namespace

const Step& import_step() {
  static const ImportStep step;
  return step;
}

}  // namespace gnnflow
