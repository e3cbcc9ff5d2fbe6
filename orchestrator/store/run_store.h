// Runs, attempts, tasks, artifacts, locations and events in one SQLite file: the only truth about what
// happened. The controller's side.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/result.h"
#include "orchestrator/store/past_results.h"
#include "orchestrator/store/run_rows.h"

namespace gnnflow {

// The lock and the writing side: one controller. Use from one thread.
class RunStore final : public PastResults {
 public:
  // Makes the folder and the database when absent (`made` says so), migrates an older one, takes the lock,
  // raises the epoch. `locked`: who holds it; `bad_state`: damaged or newer, or on a network file system;
  // `bad_usage`: another workflow's. An owner with a name is written down as the state's, with its hosts.
  static Result<RunStore> open(const fs::path& folder, const StoreOwner& owner = {},
                               const HostEntries& hosts = {});
  RunStore(RunStore&&) noexcept;
  RunStore& operator=(RunStore&&) noexcept;
  ~RunStore() override;

  const std::string& store_id() const;  // 32 hexadecimal digits
  int64_t epoch() const;
  bool made() const;

  // Everything that `writes` writes is one transaction: all or nothing, one commit. It may be called inside
  // of another. The first error of a write inside is the error of the whole, also when `writes` does not
  // return it.
  Status together(const std::function<Status()>& writes);
  int64_t commits() const;  // durable ones so far; only tests ask

  // Each is one transaction, committed and durable on return; inside of together() with its end.
  Result<int64_t> begin_run(const RunRow& run, const std::vector<RunStepRow>& steps);
  Status end_run(int64_t run, int exit_code, std::string_view summary);
  Status set_step(const RunStepRow& row);
  // What a step that could begin waits for; empty: nothing. May be batched: not durable at once. An attempt
  // that begins clears it.
  Status set_waits(int64_t run, std::string_view step, std::string_view what);
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
  Status set_host(const HostRow& host);  // all but its `entry`, which open() writes
  Status set_location(const LocationRow& location);
  Status remove_location(const LocationRow& location);
  Status add_event(int64_t run, std::string_view step, std::string_view text);
  Result<bool> stop_requested(int64_t run);
  Status remember_digest(const fs::path& file, std::string_view stamp, std::string_view digest) override;

 private:
  struct State;
  explicit RunStore(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace gnnflow
