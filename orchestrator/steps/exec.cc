// exec: a command of the user's own, in a folder of its own, with the inputs and outputs that it names; once,
// or once for each rank of another step.
#include <fmt/format.h>

#include "common/base/text.h"
#include "orchestrator/steps/kinds.h"
#include "orchestrator/steps/placing.h"
#include "orchestrator/steps/ranks.h"

namespace gnnflow {
namespace {

std::vector<std::string> inputs_of(const StepEntry& step) {
  std::vector<std::string> inputs;
  const Json& list = step.options.get("inputs");
  if (!list.is_array()) return inputs;
  for (const Json& input : list.array()) inputs.push_back(input.string());
  return inputs;
}

bool is_per_rank(const StepEntry& step) { return step.options.has("per"); }

// Whose ranks it has: a training's or its evaluation's before those that the parts alone give.
const StepEntry* followed(const Workflow& workflow, const StepEntry& step) {
  const StepEntry* placed = nullptr;
  for (const std::string& need : step.needs) {
    const StepEntry* entry = workflow.step(need);
    if (!entry) continue;
    if (entry->kind == "train" || entry->kind == "evaluate") return entry;
    if (!placed && (entry->kind == "copy" || entry->kind == "launch")) placed = entry;
  }
  return placed;
}

std::vector<RankLayout> layout_of(const Scene& scene) {
  const Workflow& workflow = *scene.workflow;
  const StepEntry* like = followed(workflow, *scene.step);
  if (!like) return {};
  const StepEntry* training = training_of(workflow, *like);
  const StepEntry* launch = training ? launch_of(workflow, *training) : like;
  const Made* made = launch ? scene.made_by(launch->name) : nullptr;
  if (!made) return {};
  const int64_t same = training ? training->options.integer_or("ranks_per_host", 1) : 1;
  const auto per_host = static_cast<int>(scene.step->options.integer_or("ranks_per_host", same));
  return lay_out_ranks(made->holders, per_host, workflow);
}

TaskPlan plain_task(const Scene& scene) {
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
  return task;
}

// As torch.distributed's launcher names them, and as ours.
void add_rank(Json& environment, const std::vector<RankLayout>& ranks, size_t rank) {
  const std::string& host = ranks[rank].host;
  int64_t local = 0, together = 0;
  for (size_t i = 0; i < ranks.size(); ++i) {
    if (ranks[i].host != host) continue;
    ++together;
    local += i < rank;
  }
  std::vector<std::string> parts;
  for (const int part : ranks[rank].parts_here) parts.push_back(std::to_string(part));
  environment["RANK"] = environment["GNNFLOW_RANK"] = std::to_string(rank);
  environment["WORLD_SIZE"] = environment["GNNFLOW_RANKS"] = std::to_string(ranks.size());
  environment["LOCAL_RANK"] = environment["GNNFLOW_LOCAL_RANK"] = std::to_string(local);
  environment["LOCAL_WORLD_SIZE"] = std::to_string(together);
  environment["GNNFLOW_PARTS"] = join(parts, ",");
}

class ExecStep final : public Step {
 public:
  const KindSchema& schema() const override { return schema_of_kind("exec"); }
  bool is_told() const override { return true; }
  Status check(const Workflow& workflow, const StepEntry& step) const override {
    if (!is_per_rank(step) || followed(workflow, step)) return {};
    return Error{
        Cause::bad_workflow,
        "'per: rank' has the ranks of a train, evaluate, copy or launch step: refer to one, or name it "
        "in 'needs'"};
  }
  std::vector<ContentPath> content(const Workflow& workflow, const StepEntry& step) const override {
    std::vector<ContentPath> paths;
    for (const std::string& input : inputs_of(step))
      paths.push_back({input, workflow.file.parent_path() / input});
    return paths;
  }
  Result<Json> key_extra(const Scene& scene) const override {
    if (!is_per_rank(*scene.step)) return Json();
    Json key;
    key["layout"] = layout_key(layout_of(scene));
    return key;
  }
  Result<std::vector<TaskPlan>> tasks(const Scene& scene) const override {
    const Json& outputs = scene.step->options.get("outputs");
    if (is_per_rank(*scene.step)) return rank_tasks_of(scene, outputs);
    TaskPlan task = plain_task(scene);
    if (outputs.is_object()) {
      for (const auto& [name, path] : outputs.object()) task.pieces.push_back(name);
    }
    return std::vector{std::move(task)};
  }

 private:
  static Result<std::vector<TaskPlan>> rank_tasks_of(const Scene& scene, const Json& outputs) {
    const auto ranks = layout_of(scene);
    if (ranks.empty()) return Error{Cause::bad_workflow, "no host holds a part to run on"};
    std::vector<TaskPlan> tasks;
    for (size_t rank = 0; rank < ranks.size(); ++rank) {
      TaskPlan task = plain_task(scene);
      task.host = ranks[rank].host;
      task.role = fmt::format("rank {}", rank);
      task.on_network = true;
      if (!task.spec.get("environment").is_object()) task.spec["environment"] = Json(Json::Object{});
      add_rank(task.spec["environment"], ranks, rank);
      Json numbered = Json(Json::Object{});
      if (outputs.is_object()) {
        for (const auto& [name, path] : outputs.object()) {
          task.pieces.push_back(fmt::format("{}-{}", name, rank));
          numbered[task.pieces.back()] = path;
        }
      }
      task.spec["outputs"] = std::move(numbered);
      tasks.push_back(std::move(task));
    }
    return tasks;
  }
};

}  // namespace

const Step& exec_step() {
  static const ExecStep step;
  return step;
}

}  // namespace gnnflow
