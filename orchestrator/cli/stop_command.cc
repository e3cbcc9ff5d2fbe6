// `gnnflow stop`: asks the living controller to end its run, or ends what a dead one has left.
#include <algorithm>
#include <thread>

#include <fmt/format.h>

#include "common/base/clock.h"
#include "common/base/text.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/controller.h"
#include "orchestrator/cli/state_place.h"
#include "orchestrator/cli/stored_hosts.h"
#include "orchestrator/store/store_reader.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kLook{100};
constexpr Milliseconds kBegins{10'000};  // a controller that has the lock begins its run, or ends
// After the grace of the jobs: results that are being copied, and a goodbye to every host.
constexpr Milliseconds kAfterGrace{60'000};

std::string holder_text(StoreReader& reader) {
  Result<std::optional<std::string>> holder = reader.holder();
  return holder && *holder ? **holder : "a controller";
}

// The one named, else the last. Nothing when there was none yet.
Result<std::optional<RunStatus>> run_in_question(StoreReader& reader, const CommandLine& line) {
  Result<RunStatus> status = reader.status(line.run > 0 ? std::optional<int64_t>(line.run) : std::nullopt);
  if (!status && status.error().cause == Cause::not_found && line.run == 0) return std::optional<RunStatus>();
  if (!status) return std::move(status).error();
  return std::optional<RunStatus>(std::move(*status));
}

// A controller that has just taken the lock has not begun its run yet.
Result<std::optional<RunStatus>> wait_for_run(StoreReader& reader, const CommandLine& line) {
  const Deadline deadline = Deadline::after(kBegins);
  while (true) {
    TRY(std::optional<RunStatus> status, run_in_question(reader, line));
    if (status && status->state == StepState::running) return status;
    if (line.run > 0 || deadline.passed() || !reader.controller_alive()) return status;
    std::this_thread::sleep_for(kLook);
  }
}

std::string what_still_runs(const RunStatus& status) {
  std::vector<std::string> steps;
  for (const StepStatus& step : status.steps) {
    if (step.state == StepState::running || step.state == StepState::up) steps.push_back(step.row.step);
  }
  return steps.empty() ? "" : fmt::format(", with {}", join(steps, ", "));
}

// "succeeded", "failed: graph", "stopped".
std::string how_it_ended(const RunStatus& status) {
  return status.state == StepState::succeeded ? "succeeded" : status.run.summary;
}

std::string ended_already(const RunStatus& status) {
  return fmt::format("run {} had ended already: {}\n", status.run.id, how_it_ended(status));
}

Result<int> stop_run(StoreReader& reader, const StatePlace& place, const RunStatus& running,
                     const Console& console) {
  const int64_t run = running.run.id;
  const std::string holder = holder_text(reader);
  const Status asked = StoreReader::request_stop(place.folder, run);
  const bool was_over = !asked && asked.error().cause == Cause::not_found;  // it has ended meanwhile
  if (!asked && !was_over) return asked.error();
  if (asked) console.err(fmt::format("asked {} to stop run {}{}\n", holder, run, what_still_runs(running)));
  TRY(StoreOwner owner, reader.owner());
  const Milliseconds limit = owner.grace + kAfterGrace;
  const Deadline deadline = Deadline::after(limit);
  while (true) {
    TRY(RunStatus status, reader.status(run));
    // Its end is stored just before the lock is free: whoever comes next must not find it held.
    const bool over = status.state != StepState::running && !reader.controller_alive();
    if (over && status.run.ended_ms == 0) {
      return Error{
          Cause::temporary,
          fmt::format("the controller of run {} has died; `gnnflow stop` again ends what it left", run)};
    }
    if (over) {
      console.out(was_over ? ended_already(status)
                           : fmt::format("run {} has ended: {}\n", run, how_it_ended(status)));
      return 0;
    }
    if (deadline.passed()) {
      return Error{Cause::temporary, fmt::format("run {} has not ended after {}: {} still holds {}{}", run,
                                                 format_duration(limit), holder, place.folder.string(),
                                                 what_still_runs(status))};
    }
    std::this_thread::sleep_for(kLook);
  }
}

// A dead controller leaves unfinished attempts, or daemons that wait for the end of their lease.
Result<bool> leftovers(StoreReader& reader, const std::optional<RunStatus>& last) {
  TRY(std::vector<AttemptRow> unfinished, reader.unfinished_attempts());
  if (!unfinished.empty()) return true;
  if (!last || last->state != StepState::interrupted) return false;
  TRY(std::vector<HostRow> hosts, reader.hosts());
  return std::any_of(hosts.begin(), hosts.end(),
                     [](const HostRow& host) { return host.state != HostState::gone; });
}

}  // namespace

Result<int> stop_command(const CommandLine& line, const Console& console) {
  TRY(StatePlace place, find_state(line, console));
  Workflow workflow;
  {
    TRY(StoreReader reader, StoreReader::open(place.folder));
    TRY(std::optional<RunStatus> status, wait_for_run(reader, line));
    if (status && status->state == StepState::running) return stop_run(reader, place, *status, console);
    if (line.run > 0 && status && status->run.ended_ms != 0) {
      console.out(ended_already(*status));
      return 0;
    }
    if (reader.controller_alive()) {
      return Error{Cause::locked, fmt::format("{}: {} holds the state, and no run of it can be stopped",
                                              place.folder.string(), holder_text(reader))};
    }
    TRY(bool left, leftovers(reader, status));
    if (!left) {
      console.out(fmt::format("nothing runs in {}\n", place.folder.string()));
      return 0;
    }
    TRY(workflow, stored_workflow(reader));
  }
  TRY(int code, end_leftovers(workflow, place.folder, line, console));
  if (code == 0) console.out("what a dead controller had left has ended\n");
  return code;
}

}  // namespace gnnflow
