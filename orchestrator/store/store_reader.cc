// The reading side: no lock is taken, nothing is written, a living controller is not disturbed.
#include "orchestrator/store/store_reader.h"

#include <fmt/format.h>

#include "orchestrator/store/holder.h"
#include "orchestrator/store/owner.h"
#include "orchestrator/store/rows.h"
#include "orchestrator/store/schema.h"
#include "orchestrator/store/sqlite.h"
#include "orchestrator/store/state_folder.h"
#include "orchestrator/store/step_state.h"

namespace gnnflow {
namespace {

constexpr int kTries = 5;

Result<Database> open_database(const StateFolder& place, Database::Mode mode) {
  std::error_code error;
  const Error none{Cause::not_found,
                   fmt::format("{}: no state; nothing was run here yet", place.folder.string())};
  if (fs::status(place.database(), error).type() == fs::file_type::not_found) return none;
  TRY(Database database, Database::open(place.database(), mode));
  TRY(SchemaState schema, look_at_schema(database));
  if (schema == SchemaState::absent) return none;
  if (schema == SchemaState::older) {
    return Error{Cause::bad_state,
                 fmt::format("{}: from an older gnnflow; `gnnflow run` brings it up to date",
                             place.database().string())};
  }
  return database;
}

}  // namespace

struct StoreReader::State {
  StateFolder place;
  Database database;

  bool lock_held() const { return FileLock::is_held(place.lock()).value_or(false); }
  // Is it the run of whoever holds the lock, or one that an earlier controller left?
  Result<bool> is_of_holder(int64_t run);
  Result<RunStatus> read(std::optional<int64_t> run, bool held);
};

Result<bool> StoreReader::State::is_of_holder(int64_t run) {
  TRY(int64_t same,
      database.integer("SELECT count(*) FROM run, meta WHERE run.id=? AND run.epoch=meta.epoch", {sql(run)}));
  return same > 0;
}

Result<RunStatus> StoreReader::State::read(std::optional<int64_t> run, bool held) {
  TRY(std::vector<RunRow> runs, run ? read_runs(database, "WHERE id=?", {sql(*run)})
                                    : read_runs(database, "ORDER BY id DESC LIMIT 1", {}));
  if (runs.empty()) {
    TRY(int64_t last, database.integer("SELECT max(id) FROM run"));
    return Error{Cause::not_found, last == 0 ? fmt::format("{}: no run yet", place.folder.string())
                                             : fmt::format("{}: no run {}; there are 1 to {}",
                                                           place.folder.string(), *run, last)};
  }
  RunStatus status;
  status.run = std::move(runs.front());
  TRY(std::vector<RunStepRow> rows, read_run_steps(database, status.run.id));
  for (RunStepRow& row : rows) {
    StepStatus step;
    step.row = std::move(row);
    if (step.row.attempt) {
      TRY(std::vector<AttemptRow> attempts, read_attempts(database, "WHERE id=?", {sql(step.row.attempt)}));
      if (!attempts.empty()) step.attempt = std::move(attempts.front());
      TRY(step.tasks, read_tasks(database, step.row.attempt));
    }
    status.steps.push_back(std::move(step));
  }
  TRY(bool holder, is_of_holder(status.run.id));
  compute_states(status, held && holder);
  return status;
}

StoreReader::StoreReader(std::unique_ptr<State> state)
    : PastResults(state->database), state_(std::move(state)) {}
StoreReader::StoreReader(StoreReader&&) noexcept = default;
StoreReader& StoreReader::operator=(StoreReader&&) noexcept = default;
StoreReader::~StoreReader() = default;

Result<StoreReader> StoreReader::open(const fs::path& folder) {
  StateFolder place{folder};
  TRY(Database database, open_database(place, Database::Mode::read));
  return StoreReader(std::make_unique<State>(State{std::move(place), std::move(database)}));
}

Result<RunStatus> StoreReader::status(std::optional<int64_t> run) {
  // The lock and the rows are two things: a controller that came or went while they were read is read again.
  Result<RunStatus> status = Error{Cause::bug, "not read"};
  for (int i = 0; i < kTries; ++i) {
    const bool held = state_->lock_held();
    TRY(state_->database.snapshot([&]() -> Status {
      status = state_->read(run, held);
      return status ? Status() : Status(status.error());
    }));
    if (state_->lock_held() == held) break;
  }
  return status;
}

Result<std::vector<RunRow>> StoreReader::runs() { return read_runs(state_->database, "ORDER BY id", {}); }

Result<std::vector<EventRow>> StoreReader::events(int64_t run, int64_t after) {
  std::vector<EventRow> events;
  TRY(state_->database.each(kEventsQuery, {sql(run), sql(after)}, [&](const SqlRow& row) {
    events.push_back({row.integer(0), row.integer(1), row.integer(2), row.text(3), row.text(4)});
    return Status();
  }));
  return events;
}

Result<std::string> StoreReader::store_id() { return state_->database.text("SELECT store_id FROM meta"); }

Result<StoreOwner> StoreReader::owner() { return read_owner(state_->database); }

Status StoreReader::check_owner(const StoreOwner& wanted) {
  TRY(StoreOwner stored, owner());
  return gnnflow::check_owner(stored, wanted, state_->place.folder);
}

Result<std::optional<std::string>> StoreReader::holder() { return holder_of(state_->database); }

Status StoreReader::remember_digest(const fs::path&, std::string_view, std::string_view) { return {}; }

bool StoreReader::controller_alive() { return state_->lock_held(); }

Status StoreReader::request_stop(const fs::path& folder, int64_t run) {
  TRY(StoreReader reader, open(folder));
  TRY(RunStatus status, reader.status(run));
  if (status.state != StepState::running) {
    return Error{Cause::not_found, fmt::format("{}: run {} does not run", folder.string(), run)};
  }
  TRY(Database database, open_database(StateFolder{folder}, Database::Mode::write));
  TRY(Transaction transaction, Transaction::begin(database));
  TRY(database.run("INSERT INTO request(run, what, time_ms) VALUES(?,'stop',?)",
                   {sql(run), sql(system_clock().unix_milliseconds())}));
  return transaction.commit();
}

}  // namespace gnnflow
