// Names of states in the database, and reading of whole rows.
#include "orchestrator/store/rows.h"

#include <array>

#include <fmt/format.h>

namespace gnnflow {
namespace {

// In the order of the enumerators.
constexpr std::array<std::string_view, 7> kAttemptStates = {"intent", "running", "publishing", "succeeded",
                                                            "failed", "lost",    "cancelled"};
constexpr std::array<std::string_view, 6> kTaskStates = {"intent", "started", "unknown",
                                                         "exited", "killed",  "lost"};
constexpr std::array<std::string_view, 4> kDecisions = {"cached", "attempt", "adopted", "skipped"};
constexpr std::array<std::string_view, 3> kHostStates = {"intent", "up", "gone"};
constexpr std::array<std::string_view, 10> kStepStates = {"waiting", "running",   "succeeded", "cached",
                                                          "failed",  "cancelled", "skipped",   "interrupted",
                                                          "idle",    "up"};

template <typename State, size_t n>
Result<State> state_named(const std::array<std::string_view, n>& names, std::string_view name) {
  for (size_t i = 0; i < n; ++i) {
    if (names[i] == name) return static_cast<State>(i);
  }
  return Error{Cause::bad_state, fmt::format("the state has the unknown word '{}'", name)};
}

Result<Json> json_of(const SqlRow& row, int column) {
  Result<Json> json = Json::parse(row.text(column));
  if (!json) return Error{Cause::bad_state, "the state holds what is no JSON: " + json.error().message};
  return json;
}

}  // namespace

std::string_view name_of(AttemptState state) { return kAttemptStates[static_cast<size_t>(state)]; }
std::string_view name_of(TaskState state) { return kTaskStates[static_cast<size_t>(state)]; }
std::string_view name_of(StepState state) { return kStepStates[static_cast<size_t>(state)]; }
std::string_view name_of(Decision decision) { return kDecisions[static_cast<size_t>(decision)]; }
std::string_view name_of(HostState state) { return kHostStates[static_cast<size_t>(state)]; }

Result<std::vector<RunRow>> read_runs(Database& database, std::string_view rest,
                                      std::initializer_list<SqlValue> values) {
  std::vector<RunRow> runs;
  const std::string query = fmt::format(
      "SELECT id, command, workflow, params, started_ms, ended_ms, exit_code, summary FROM run {}", rest);
  Status read = database.each(query, values, [&](const SqlRow& row) -> Status {
    RunRow run{.id = row.integer(0),
               .command = row.text(1),
               .workflow = row.text(2),
               .params = {},
               .started_ms = row.integer(4),
               .ended_ms = row.integer(5),
               .exit_code = static_cast<int>(row.integer(6)),
               .summary = row.text(7)};
    TRY(run.params, json_of(row, 3));
    runs.push_back(std::move(run));
    return {};
  });
  if (!read) return std::move(read).error();
  return runs;
}

Result<std::vector<AttemptRow>> read_attempts(Database& database, std::string_view rest,
                                              std::initializer_list<SqlValue> values) {
  std::vector<AttemptRow> attempts;
  const std::string query = fmt::format(
      "SELECT id, run, step, kind, key, resume_key, number, state, reason, cause, message, inputs, metrics,"
      " started_ms, ended_ms FROM attempt {}",
      rest);
  Status read = database.each(query, values, [&](const SqlRow& row) -> Status {
    AttemptRow attempt;
    attempt.id = row.integer(0);
    attempt.run = row.integer(1);
    attempt.step = row.text(2);
    attempt.kind = row.text(3);
    attempt.key = row.text(4);
    attempt.resume_key = row.text(5);
    attempt.number = static_cast<int>(row.integer(6));
    TRY(attempt.state, state_named<AttemptState>(kAttemptStates, row.text(7)));
    attempt.reason = row.text(8);
    attempt.cause = row.text(9);
    attempt.message = row.text(10);
    TRY(attempt.inputs, json_of(row, 11));
    TRY(attempt.metrics, json_of(row, 12));
    attempt.started_ms = row.integer(13);
    attempt.ended_ms = row.integer(14);
    attempts.push_back(std::move(attempt));
    return {};
  });
  if (!read) return std::move(read).error();
  return attempts;
}

Result<std::vector<TaskRow>> read_tasks(Database& database, int64_t attempt) {
  std::vector<TaskRow> tasks;
  Status read = database.each(
      "SELECT attempt, number, token, host, role, state, code, signal, started_ms, ended_ms, last_seen_ms,"
      " progress, tail FROM task WHERE attempt=? ORDER BY number",
      {sql(attempt)}, [&](const SqlRow& row) -> Status {
        TaskRow task;
        task.attempt = row.integer(0);
        task.index = static_cast<int>(row.integer(1));
        task.token = row.text(2);
        task.host = row.text(3);
        task.role = row.text(4);
        TRY(task.state, state_named<TaskState>(kTaskStates, row.text(5)));
        task.code = static_cast<int>(row.integer(6));
        task.signal = static_cast<int>(row.integer(7));
        task.started_ms = row.integer(8);
        task.ended_ms = row.integer(9);
        task.last_seen_ms = row.integer(10);
        TRY(task.progress, json_of(row, 11));
        task.tail = row.text(12);
        tasks.push_back(std::move(task));
        return {};
      });
  if (!read) return std::move(read).error();
  return tasks;
}

Result<std::vector<RunStepRow>> read_run_steps(Database& database, int64_t run) {
  std::vector<RunStepRow> rows;
  Status read = database.each(
      "SELECT run, step, kind, decision, attempt, reason, waits FROM run_step WHERE run=? ORDER BY position",
      {sql(run)}, [&](const SqlRow& row) -> Status {
        RunStepRow step;
        step.run = row.integer(0);
        step.step = row.text(1);
        step.kind = row.text(2);
        TRY(step.decision, state_named<Decision>(kDecisions, row.text(3)));
        step.attempt = row.integer(4);
        step.reason = row.text(5);
        step.waits = row.text(6);
        rows.push_back(std::move(step));
        return {};
      });
  if (!read) return std::move(read).error();
  return rows;
}

Result<std::vector<LocationRow>> read_locations(Database& database, std::string_view rest,
                                                std::initializer_list<SqlValue> values) {
  std::vector<LocationRow> locations;
  TRY(database.each(
      fmt::format("SELECT artifact, piece, host, path, state FROM location {}", rest), values,
      [&](const SqlRow& row) {
        locations.push_back({row.text(0), row.text(1), row.text(2), row.text(3), row.text(4) == "verified"});
        return Status();
      }));
  return locations;
}

Result<std::vector<HostRow>> read_hosts(Database& database) {
  std::vector<HostRow> hosts;
  Status read =
      database.each("SELECT name, state, root, boot, pid, last_seen_ms, entry FROM host ORDER BY name", {},
                    [&](const SqlRow& row) -> Status {
                      HostRow host;
                      host.name = row.text(0);
                      TRY(host.state, state_named<HostState>(kHostStates, row.text(1)));
                      host.root = row.text(2);
                      host.boot = row.text(3);
                      host.pid = static_cast<int>(row.integer(4));
                      host.last_seen_ms = row.integer(5);
                      TRY(host.entry, json_of(row, 6));
                      hosts.push_back(std::move(host));
                      return {};
                    });
  if (!read) return std::move(read).error();
  return hosts;
}

}  // namespace gnnflow
