// `gnnflow retry`: a run again, where it failed.
#include <algorithm>

#include <fmt/format.h>

#include "common/base/text.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/controller.h"
#include "orchestrator/cli/state_place.h"

namespace gnnflow {
namespace {

Status check_steps(const std::vector<std::string>& wanted, const Workflow& workflow) {
  std::vector<std::string> names;
  for (const StepEntry& step : workflow.steps) names.push_back(step.name);
  for (const std::string& step : wanted) {
    if (workflow.step(step)) continue;
    std::optional<std::string> near = nearest(step, names);
    return Error{Cause::not_found, fmt::format("{} has no step '{}'{}", workflow.name, step,
                                               near ? fmt::format("; did you mean '{}'?", *near)
                                                    : fmt::format("; it has: {}", join(names, ", ")))};
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

}  // namespace

Result<int> retry_command(const CommandLine& line, const Console& console) {
  TRY(StatePlace place, find_state(line, console));
  Json params;
  fs::path file;
  {
    // Closed before a controller is made of this process.
    TRY(StoreReader reader, StoreReader::open(place.folder));
    TRY(RunStatus status, reader.status(line.run > 0 ? std::optional<int64_t>(line.run) : std::nullopt));
    TRY(refuse_beside(reader, place));
    TRY(file, workflow_file(place, reader));
    params = std::move(status.run.params);
  }
  TRY(RunWish wish, load_wish(line, console, file, params));
  TRY(check_steps(line.steps, wish.workflow));
  return carry_out(wish, line, console);
}

}  // namespace gnnflow
