// Why there is no log to show, in words of the run.
#pragma once

#include <string>

#include "orchestrator/store/run_rows.h"

namespace gnnflow {

// Copies move files: they have tasks, and no log ever.
bool starts_programs(const StepStatus& step);

// Of a step without tasks in this run, or of one that starts no programs.
std::string why_no_task(const RunStatus& run, const StepStatus& step);

// Of a task whose log is not on its host.
std::string why_no_log(const RunStatus& run, const StepStatus& step, const TaskRow& task);

// A program of it was started, or may have been: so it has a log unless that was removed.
bool may_have_log(const StepStatus& step, const TaskRow& task);

}  // namespace gnnflow
