// `gnnflow retry`: a run again, where it failed.
#include <algorithm>

#include <fmt/format.h>

#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/controller.h"
#include "orchestrator/cli/state_place.h"
#include "orchestrator/workflow/problems.h"

namespace gnnflow {
namespace {

Status check_steps(const std::vector<std::string>& wanted, const Workflow& workflow) {
  std::vector<std::string> names;
  for (const StepEntry& step : workflow.steps) names.push_back(step.name);
  for (const std::string& step : wanted) {
    if (workflow.step(step)) continue;
    return Error{Cause::not_found,
                 fmt::format("{} has no step '{}'{}", workflow.name, step, suggestion_or_all(step, names))};
  }
  return {};
}

Status refuse_beside(StoreReader& reader, const StatePlace& place) {
  if (!reader.controller_alive()) return {};
  TRY(std::optional<std::string> holder, reader.holder());
  return Error{
      Cause::locked,
      fmt::format("{}: another controller holds the state: {}; wait until it has ended, or end it with "
                  "`gnnflow stop`",
                  place.folder.string(), holder.value_or("one that is just starting or ending"))};
}

// A run of a retry that was told its steps may have succeeded and left others undone.
bool all_done(const RunStatus& status, const std::vector<std::string>& wanted) {
  const auto undone = [](const StepStatus& step) {
    return step.state == StepState::skipped || step.state == StepState::failed;
  };
  const auto known = [&](const std::string& name) {
    return std::any_of(status.steps.begin(), status.steps.end(),
                       [&](const StepStatus& step) { return step.row.step == name; });
  };
  return status.state == StepState::succeeded &&
         std::none_of(status.steps.begin(), status.steps.end(), undone) &&
         std::all_of(wanted.begin(), wanted.end(), known);
}

}  // namespace

Result<int> retry_command(const CommandLine& line, const Console& console) {
  TRY(StatePlace place, find_state(line, console));
  RunStatus last;
  fs::path file;
  {
    // Closed before a controller is made of this process.
    TRY(StoreReader reader, StoreReader::open(place.folder));
    TRY(last, reader.status(line.run > 0 ? std::optional<int64_t>(line.run) : std::nullopt));
    TRY(refuse_beside(reader, place));
    TRY(file, workflow_file(place, reader));
  }
  TRY(RunWish wish, load_wish(line, console, file, last.run.params));
  TRY(check_steps(line.steps, wish.workflow));
  if (line.set.empty() && all_done(last, line.steps)) {
    TRY(StoreReader reader, StoreReader::open(place.folder));
    TRY(reader.check_owner({wish.workflow.name, wish.workflow.file}));
    tell_end(wish, line, console,
             fmt::format("nothing to retry: run {} succeeded; `gnnflow run` does what has changed since",
                         last.run.id));
    return 0;
  }
  return carry_out(wish, line, console);
}

}  // namespace gnnflow
