// `gnnflow plan`: what `run` would do, and why.
#include <algorithm>

#include <fmt/format.h>

#include "common/base/text.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/hosts.h"
#include "orchestrator/cli/state_place.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/engine/verify.h"
#include "orchestrator/steps/step_kinds.h"
#include "orchestrator/store/store_reader.h"

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

// Those that are not what they were; how much was read of the others.
std::string copies_text(const std::vector<VerifiedCopy>& copies) {
  std::string text;
  int64_t good = 0, files = 0;
  double bytes = 0;
  for (const VerifiedCopy& copy : copies) {
    if (copy.fault) {
      text += fmt::format("  {}: {} on {}, {}: {}\n", copy.step, copy.piece, copy.host, copy.path,
                          copy.fault->message);
      continue;
    }
    ++good;
    files += copy.files;
    bytes += static_cast<double>(copy.bytes);
  }
  const size_t bad = copies.size() - static_cast<size_t>(good);
  text = fmt::format("verified: {} of {} copies are as they were made ({} files, {})\n", good, copies.size(),
                     files, format_bytes(bytes)) +
         text;
  if (bad > 0) text += "remove what is damaged: the next run makes or sends it again\n";
  return text;
}

Json copies_json(const std::vector<VerifiedCopy>& copies) {
  Json::Array list;
  for (const VerifiedCopy& copy : copies) {
    list.push_back(Json::Object{{"step", copy.step},
                                {"piece", copy.piece},
                                {"host", copy.host},
                                {"path", copy.path},
                                {"files", copy.files},
                                {"bytes", copy.bytes},
                                {"good", !copy.fault},
                                {"fault", copy.fault ? copy.fault->message : ""}});
  }
  return Json(std::move(list));
}

// Damage before what could not be looked at.
int verified_exit_code(const std::vector<VerifiedCopy>& copies) {
  int code = 0;
  for (const VerifiedCopy& copy : copies) {
    if (!copy.fault) continue;
    if (copy.fault->cause == Cause::bad_data) return exit_code(Cause::bad_data);
    code = exit_code(copy.fault->cause);
  }
  return code;
}

}  // namespace

Result<int> plan_command(const CommandLine& line, const Console& console) {
  TRY(Workflow workflow, load_workflow(line.file, {line.set, kind_schemas()}));
  StatePlace place = place_of_workflow(line, console, workflow);
  std::optional<StoreReader> store;  // also beside a living controller
  std::string store_id;
  std::error_code failed;
  if (fs::exists(place.folder / kDatabaseName, failed)) {  // a plan makes no state
    TRY(store, StoreReader::open(place.folder));
    TRY(store->check_owner({workflow.name, workflow.file}));
    TRY(store_id, store->store_id());
  }
  StopSignal stop;
  TRY(auto hosts, make_hosts(workflow, place.folder, store_id, &stop));
  TRY(std::vector<PlannedStep> steps,
      plan_workflow(workflow, step_kinds(), store ? &*store : nullptr, hosts));
  std::vector<VerifiedCopy> copies;
  if (line.verify && store) {
    stop_on_signals(stop);
    TRY(copies, verify_outputs(workflow, *store, hosts, stop));
  }
  if (line.json) {
    Json json = plan_json(workflow, steps);
    if (line.verify) json["copies"] = copies_json(copies);
    console.out(json.dump() + "\n");
  } else {
    console.out(plan_text(workflow, steps) + (line.verify ? copies_text(copies) : ""));
  }
  return verified_exit_code(copies);
}

}  // namespace gnnflow
