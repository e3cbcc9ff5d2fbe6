// Runs, attempts, tasks, artifacts, locations and events in one SQLite file: the only truth about what
// happened.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/result.h"

namespace gnnflow {

enum class AttemptState { intent, running, publishing, succeeded, failed, lost, cancelled };
enum class TaskState { intent, started, unknown, exited, killed, lost };
std::string_view name_of(AttemptState state);
std::string_view name_of(TaskState state);
constexpr bool is_final(AttemptState state) { return state >= AttemptState::succeeded; }
constexpr bool is_final(TaskState state) { return state >= TaskState::exited; }

struct RunRow {
  int64_t id = 0;
  std::string command;   // "run", "retry"
  std::string workflow;  // digest of the file as loaded
  Json params;
  int64_t started_ms = 0, ended_ms = 0;  // 0: not ended
  int exit_code = 0;
  std::string summary;
};

struct TaskRow {
  int64_t attempt = 0;
  int index = 0;
  std::string token, host, role;  // role: "rank 1", "server 0", ""
  TaskState state = TaskState::intent;
  int code = 0, signal = 0;
  int64_t started_ms = 0, ended_ms = 0, last_seen_ms = 0;
  Json progress;     // common/wire/progress
  std::string tail;  // last 50 lines of the log when it failed
};

struct AttemptRow {
  int64_t id = 0;
  int64_t run = 0;
  std::string step, kind, key, resume_key;
  int number = 1;  // of this step in this store
  AttemptState state = AttemptState::intent;
  std::string reason;          // why it was made: "epochs 10 -> 20"
  std::string cause, message;  // of its end, when not succeeded
  Json inputs;                 // what went into the key, to say later what changed
  Json metrics;                // the last that a rank reported
  int64_t started_ms = 0, ended_ms = 0;
};

struct PieceRow {
  std::string name;  // "graph", "model", "part-0"
  std::string digest;
  int64_t bytes = 0;
};

struct LocationRow {
  std::string artifact;           // digest of the piece's artifact (docs/architecture.md: content digest)
  std::string piece, host, path;  // path below the host's root
  bool verified = false;
};

// What is known of a host entry; `intent` is committed before its daemon is started.
enum class HostState { intent, up, gone };
struct HostRow {
  std::string name;
  HostState state = HostState::intent;
  std::string root, boot;
  int pid = 0;  // of the daemon
  int64_t last_seen_ms = 0;
};

enum class Decision { cached, attempt, adopted, skipped };

struct RunStepRow {
  int64_t run = 0;
  std::string step, kind;
  Decision decision = Decision::attempt;
  int64_t attempt =
      0;  // 0: none yet; again 0 while a retry is due (that is how it is told from a failed step)
  std::string reason;
};

struct EventRow {
  int64_t id = 0, time_ms = 0, run = 0;
  std::string step, text;
};

// Computed, never stored.
enum class StepState {
  waiting,
  running,
  succeeded,
  cached,
  failed,
  cancelled,
  skipped,
  interrupted,
  idle,
  up
};
std::string_view name_of(StepState state);

struct StepStatus {
  RunStepRow row;
  StepState state = StepState::waiting;
  std::optional<AttemptRow> attempt;
  std::vector<TaskRow> tasks;
};
struct RunStatus {
  RunRow run;
  StepState state = StepState::waiting;
  std::vector<StepStatus> steps;
};

// The lock and the writing side: one controller. Use from one thread.
class RunStore {
 public:
  // Makes the folder and the database when absent (`made` says so), migrates an older one, takes the lock,
  // raises the epoch. `locked`: who holds it; `bad_state`: damaged or newer, or on a network file system.
  static Result<RunStore> open(const fs::path& folder);
  RunStore(RunStore&&) noexcept;
  RunStore& operator=(RunStore&&) noexcept;
  ~RunStore();

  const std::string& store_id() const;  // 32 hexadecimal digits
  int64_t epoch() const;
  bool made() const;

  // Each is one transaction, committed and durable on return.
  Result<int64_t> begin_run(const RunRow& run, const std::vector<RunStepRow>& steps);
  Status end_run(int64_t run, int exit_code, std::string_view summary);
  Status set_step(const RunStepRow& row);
  // Attempt and tasks in state `intent`, with tokens; the step's row of the run refers to it from then on.
  Result<int64_t> begin_attempt(const AttemptRow& attempt, const std::vector<TaskRow>& tasks);
  Result<int> next_attempt_number(std::string_view step);
  // What is final stays so: the same end told again is fine, another is an error.
  Status set_attempt(int64_t attempt, AttemptState state, std::string_view cause = "",
                     std::string_view message = "");
  Status set_task(const TaskRow& task);  // its progress and tail are kept when null or empty here
  Status set_progress(int64_t attempt, int task,
                      const Json& progress);  // may be batched: not durable at once
  Status set_metrics(int64_t attempt, const Json& metrics);
  // artifact, pieces, locations and `succeeded` in one commit
  Status succeed(int64_t attempt, const std::vector<PieceRow>& pieces,
                 const std::vector<LocationRow>& locations);
  Status set_host(const HostRow& host);
  Status set_location(const LocationRow& location);
  Status remove_location(const LocationRow& location);
  Status add_event(int64_t run, std::string_view step, std::string_view text);
  Result<bool> stop_requested(int64_t run);
  // A file's digest remembered by size, mtime, ctime, inode.
  Result<std::optional<std::string>> remembered_digest(const fs::path& file, std::string_view stamp);
  Status remember_digest(const fs::path& file, std::string_view stamp, std::string_view digest);

  // Reading.
  Result<std::vector<HostRow>> hosts();
  Result<std::vector<AttemptRow>> unfinished_attempts();
  Result<std::vector<TaskRow>> tasks_of(int64_t attempt);
  Result<std::optional<AttemptRow>> last_succeeded(std::string_view step, std::string_view key);
  Result<std::optional<AttemptRow>> last_attempt(std::string_view step);
  Result<std::vector<AttemptRow>> succeeded_with_resume_key(std::string_view step,
                                                            std::string_view resume_key);
  Result<std::vector<PieceRow>> pieces_of(int64_t attempt);
  Result<std::vector<LocationRow>> locations_of(std::string_view artifact);

 private:
  struct State;
  explicit RunStore(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Read-only, beside a living controller or without one.
class StoreReader {
 public:
  static Result<StoreReader> open(const fs::path& folder);  // not_found when there is none
  StoreReader(StoreReader&&) noexcept;
  ~StoreReader();
  Result<RunStatus> status(std::optional<int64_t> run = {});  // the last run; not_found when there is none
  Result<std::vector<RunRow>> runs();
  Result<std::vector<EventRow>> events(int64_t run, int64_t after);  // the next 10,000 at most
  Result<std::string> store_id();
  bool controller_alive();
  // Ask the living controller to stop the run (table `request`). not_found: no such run, or it does not run.
  static Status request_stop(const fs::path& folder, int64_t run);

 private:
  struct State;
  explicit StoreReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace gnnflow
