// launch: a service of graph servers, one or more for each part, on a host that holds it.
#include "orchestrator/steps/kinds.h"

namespace gnnflow {
namespace {

constexpr int64_t kRestartWindow = 600'000;
constexpr int kServerThreads = 2;

class LaunchStep final : public Step {
 public:
  const KindSchema& schema() const override { return schema_of_kind("launch"); }
  Nature nature() const override { return Nature::service; }
  Result<Holders> holders(const Scene& scene) const override {
    const Made* placed = scene.made_by(referred(*scene.workflow, *scene.step, "partition")->name);
    return placed ? placed->holders : Holders();
  }
  Result<std::vector<TaskPlan>> tasks(const Scene& scene) const override {
    const StepEntry& step = *scene.step;
    const StepEntry* copy = referred(*scene.workflow, step, "partition");
    TRY(const auto placed, holders(scene));
    std::vector<TaskPlan> tasks;
    for (const auto& [part, hosts] : placed) {
      for (int64_t i = 0; i < step.options.integer_or("servers_per_part", 1); ++i) {
        TaskPlan task;
        task.host = hosts[static_cast<size_t>(i) % hosts.size()];
        task.role = "server " + std::to_string(tasks.size());
        task.program = "worker";
        task.spec["kind"] = "serve";
        task.spec["part"] = part;
        task.on_network = true;
        task.spec["restarts"] = step.options.integer_or("restarts", 3);
        task.spec["restart_window_ms"] = kRestartWindow;
        task.spec["threads"] = kServerThreads;
        task.spec["options"] = Json(Json::Object{});
        task.inputs = {{"partition", copy->name, ""}};
        tasks.push_back(std::move(task));
      }
    }
    return tasks;
  }
};

}  // namespace

const Step& launch_step() {
  static const LaunchStep step;
  return step;
}

}  // namespace gnnflow
