// Reads the state again and again; a controller that dies meanwhile is seen by its lock.
#include "orchestrator/cli/status_watch.h"

#include <algorithm>
#include <map>
#include <thread>

#include <fmt/format.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/text.h"
#include "orchestrator/view/terminal.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kRedraw{1000}, kLook{200};
constexpr std::string_view kClear = "\x1b[H\x1b[2J";

// No more than fits: a terminal that scrolled could not be drawn over.
std::string screen(const std::string& text, int rows) {
  std::vector<std::string> lines = split(trimmed(text), '\n');
  const size_t most = static_cast<size_t>(std::max(2, rows - 1));
  if (lines.size() > most) {
    const size_t hidden = lines.size() - most + 1;
    lines.resize(most - 1);
    lines.push_back(fmt::format("... and {} lines more", hidden));
  }
  return std::string(kClear) + join(lines, "\n") + "\n";
}

std::string step_line(const StepStatus& step) {
  std::string text = fmt::format("{}: {}", step.row.step, name_of(step.state));
  const std::string detail = step_detail(step);
  return text + (detail.empty() ? "" : ": " + detail) + "\n";
}

}  // namespace

std::string status_changes(const RunStatus& before, const RunStatus& now) {
  std::map<std::string, const StepStatus*> known;
  for (const StepStatus& step : before.steps) known[step.row.step] = &step;
  std::string text;
  for (const StepStatus& step : now.steps) {
    const StepStatus* was = known.count(step.row.step) ? known[step.row.step] : nullptr;
    if (!was || step.state != was->state || step.row.waits != was->row.waits) text += step_line(step);
    for (size_t i = 0; i < step.tasks.size(); ++i) {
      const bool silent = step.tasks[i].state == TaskState::unknown;
      const bool was_silent = was && i < was->tasks.size() && was->row.attempt == step.row.attempt &&
                              was->tasks[i].state == TaskState::unknown;
      if (silent == was_silent) continue;
      text += fmt::format("{}: {} on {} {}\n", step.row.step, task_name(step.tasks[i]), step.tasks[i].host,
                          silent ? "cannot be asked" : "answers again");
    }
  }
  return text;
}

Result<RunStatus> watch_status(StoreReader& reader, RunStatus status, StatusScene scene,
                               const Console& console) {
  const auto over = [&] { return status.state != StepState::running; };
  if (!console.out_is_terminal || over()) console.out(status_text(status, scene));
  while (!over()) {
    if (console.out_is_terminal) {
      console.out(screen(status_text(status, scene), terminal_size(STDOUT_FILENO).rows));
    }
    std::this_thread::sleep_for(console.out_is_terminal ? kRedraw : kLook);
    TRY(RunStatus now, reader.status(status.run.id));
    if (!console.out_is_terminal) console.out(status_changes(status, now));
    status = std::move(now);
    scene.now_ms = system_clock().unix_milliseconds();
    if (!over()) continue;
    // The last word is whole, however long it is.
    console.out(console.out_is_terminal ? std::string(kClear) + status_text(status, scene)
                                        : run_end_text(status));
  }
  return status;
}

}  // namespace gnnflow
