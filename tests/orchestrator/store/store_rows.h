// Rows that the tests of the store begin with.
#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "orchestrator/store/run_store.h"
#include "orchestrator/store/store_reader.h"
#include "orchestrator/store/sqlite.h"
#include "orchestrator/store/state_folder.h"

namespace gnnflow {

inline RunRow run_row() {
  RunRow run;
  run.command = "run";
  run.workflow = "w1";
  run.params = Json(Json::Object{{"epochs", 10}});
  return run;
}

inline RunStepRow step_row(std::string step, std::string kind = "exec") {
  RunStepRow row;
  row.step = std::move(step);
  row.kind = std::move(kind);
  row.reason = "never ran";
  return row;
}

inline AttemptRow attempt_row(int64_t run, std::string step, int number = 1) {
  AttemptRow attempt;
  attempt.run = run;
  attempt.step = std::move(step);
  attempt.kind = "exec";
  attempt.key = "key-1";
  attempt.resume_key = "resume-1";
  attempt.number = number;
  attempt.reason = "never ran";
  attempt.inputs = Json(Json::Object{{"graph", "d1"}});
  return attempt;
}

inline std::vector<TaskRow> task_rows(int count, const std::string& prefix = "t") {
  std::vector<TaskRow> tasks;
  for (int i = 0; i < count; ++i) {
    TaskRow task;
    task.index = i;
    task.token = prefix + "." + std::to_string(i);
    task.host = "controller";
    task.role = "rank " + std::to_string(i);
    tasks.push_back(std::move(task));
  }
  return tasks;
}

// The value, or a failed test with the error's message and the end of this process: nothing after it would
// make sense.
template <typename T>
T must(Result<T> result) {
  if (!result) bug(result.error().message);
  return std::move(result).value();
}
inline void must(Status status) {
  if (!status) bug(status.error().message);
}

inline Database raw_database(const fs::path& folder) {
  return must(Database::open(StateFolder{folder}.database(), Database::Mode::write));
}

}  // namespace gnnflow
