// import: a data set of this machine turned into a graph directory. Its files count by content.
#include <cstdlib>

#include "orchestrator/steps/kinds.h"

namespace gnnflow {
namespace {

// "~/x" is below the home folder, all else relative to the workflow file.
fs::path source_of(const Workflow& workflow, const StepEntry& step) {
  const std::string source = step.options.text_or("source", "");
  const char* home = std::getenv("HOME");
  if (home && source.starts_with("~/")) return (fs::path(home) / source.substr(2)).lexically_normal();
  fs::path path = (workflow.file.parent_path() / source).lexically_normal();
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
