// Ranks on the hosts that hold the parts.
#include "orchestrator/steps/ranks.h"

#include "orchestrator/steps/kinds.h"

namespace gnnflow {

const StepEntry* training_of(const Workflow& workflow, const StepEntry& step) {
  return step.kind == "train" ? &step : referred(workflow, step, "model");
}

const StepEntry* launch_of(const Workflow& workflow, const StepEntry& step) {
  const StepEntry* training = training_of(workflow, step);
  return training ? referred(workflow, *training, "servers") : nullptr;
}

std::vector<RankLayout> ranks_of(const Scene& scene) {
  const StepEntry* launch = launch_of(*scene.workflow, *scene.step);
  const Made* made = launch ? scene.made_by(launch->name) : nullptr;
  if (!made) return {};
  const StepEntry* training = training_of(*scene.workflow, *scene.step);
  const auto per_host = static_cast<int>(training->options.integer_or("ranks_per_host", 1));
  return lay_out_ranks(made->holders, per_host, *scene.workflow);
}

Json ranks_key(const Scene& scene) {
  const StepEntry* launch = launch_of(*scene.workflow, *scene.step);
  const Made* made = launch ? scene.made_by(launch->name) : nullptr;
  Json key;
  key["layout"] = layout_key(ranks_of(scene));
  key["partition"] = made ? made->digest : std::string();
  return key;
}

std::vector<TaskPlan> rank_tasks(const Scene& scene) {
  const StepEntry& step = *scene.step;
  const StepEntry* launch = launch_of(*scene.workflow, step);
  const auto ranks = ranks_of(scene);
  std::vector<TaskPlan> tasks;
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    const RankLayout& layout = ranks[rank];
    TaskPlan task;
    task.host = layout.host;
    task.role = "rank " + std::to_string(rank);
    task.program = "trainer";
    task.cores = static_cast<int>(step.options.integer_or("threads", kAllCores));
    task.spec["kind"] = step.kind;
    task.spec["options"] = step.options;
    task.spec["rank"] = static_cast<int64_t>(rank);
    task.spec["ranks"] = static_cast<int64_t>(ranks.size());
    task.spec["parts_here"] = Json(Json::Array(layout.parts_here.begin(), layout.parts_here.end()));
    task.spec["seeds"] = seeds_json(layout.seeds);
    task.on_network = true;
    task.inputs = {{"partition", launch->name, ""}};
    tasks.push_back(std::move(task));
  }
  return tasks;
}

}  // namespace gnnflow
