// A run's state as text for people and as JSON for programs.
#pragma once

#include <string>

#include "common/base/json.h"
#include "orchestrator/store/run_rows.h"

namespace gnnflow {

struct StatusScene {
  std::string workflow;  // its name, or its state folder
  int64_t now_ms = 0;
  bool colour = false;
};

// "rank 1", "task 0".
std::string task_name(const TaskRow& task);
// Why the step is in its state, in a line; may be empty.
std::string step_detail(const StepStatus& step);
// The last lines about a run that goes on no more.
std::string run_end_text(const RunStatus& status);
std::string status_text(const RunStatus& status, const StatusScene& scene);
Json status_json(const RunStatus& status, const StatusScene& scene);

// Of `status --exit-code`.
int status_exit_code(const RunStatus& status);

}  // namespace gnnflow
