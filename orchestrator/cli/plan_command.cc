// `gnnflow plan`: what `run` would do, and why.
#include <algorithm>

#include <fmt/format.h>

#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/hosts.h"
#include "orchestrator/cli/state_place.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/steps/step_kinds.h"

namespace gnnflow {
namespace {

std::string plan_text(const Workflow& workflow, const std::vector<PlannedStep>& steps) {
  size_t names = 0, kinds = 0, decisions = 0, wanted = 0;
  for (const PlannedStep& step : steps) {
    names = std::max(names, step.step.size());
    kinds = std::max(kinds, step.kind.size());
    decisions = std::max(decisions, step.decision.size());
    if (step.decision != "cached" && step.decision != "service") ++wanted;
  }
  std::string text =
      fmt::format("plan of {}: {}\n", workflow.name,
                  wanted == 0 ? "nothing to do" : fmt::format("{} of {} steps", wanted, steps.size()));
  for (const PlannedStep& step : steps) {
    std::string row = fmt::format("  {:<{}}  {:<{}}  {:<{}}  {}", step.step, names, step.kind, kinds,
                                  step.decision, decisions, step.reason);
    while (row.ends_with(' ')) row.pop_back();
    text += row + "\n";
  }
  return text;
}

Json plan_json(const Workflow& workflow, const std::vector<PlannedStep>& steps) {
  Json json(Json::Object{{"schema", 1}, {"workflow", workflow.name}, {"params", workflow.params}});
  json["steps"] = Json::Array{};
  for (const PlannedStep& step : steps) {
    json["steps"].push_back(Json::Object{
        {"step", step.step}, {"kind", step.kind}, {"decision", step.decision}, {"reason", step.reason}});
  }
  return json;
}

}  // namespace

Result<int> plan_command(const CommandLine& line, const Console& console) {
  TRY(Workflow workflow, load_workflow(line.file, {line.set, kind_schemas()}));
  StatePlace place = place_of_workflow(line, console, workflow);
  std::optional<RunStore> store;
  std::error_code failed;
  if (fs::exists(place.folder / kDatabaseName, failed)) {  // a plan makes no state
    TRY(store, RunStore::open(place.folder));
  }
  TRY(auto hosts, make_hosts(workflow, place.folder, store ? store->store_id() : ""));
  TRY(std::vector<PlannedStep> steps,
      plan_workflow(workflow, step_kinds(), store ? &*store : nullptr, hosts));
  console.out(line.json ? plan_json(workflow, steps).dump() + "\n" : plan_text(workflow, steps));
  return 0;
}

}  // namespace gnnflow
