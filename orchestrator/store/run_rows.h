// What the store keeps, as values: runs, attempts, tasks, pieces, hosts; and the states that are computed
// from them.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/json.h"

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
  std::string root, boot;  // root: empty until a daemon was wanted there
  int pid = 0;             // of the daemon
  int64_t last_seen_ms = 0;
  Json entry = {};  // as the workflow last said it: address, user, ...; null when it never did
};
using HostEntries = std::map<std::string, Json>;  // each host as the workflow says it

// Whose state it is. Of a workflow that never said so the name is empty.
struct StoreOwner {
  std::string workflow;  // its name
  fs::path file;
  Milliseconds lease{0}, grace{0};
};

enum class Decision { cached, attempt, adopted, skipped };

struct RunStepRow {
  int64_t run = 0;
  std::string step, kind;
  Decision decision = Decision::attempt;
  // 0: none yet; again 0 while a retry is due (that is how it is told from a failed step)
  int64_t attempt = 0;
  std::string reason;
  std::string waits =
      {};  // for what, when it could begin otherwise: "waits for 4 cores of node1"; as last told
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

}  // namespace gnnflow
