// Writing attempts, their tasks, and what they made.
#include <fmt/format.h>

#include "orchestrator/store/rows.h"
#include "orchestrator/store/run_store.h"
#include "orchestrator/store/run_store_state.h"

namespace gnnflow {
namespace {

Status save_location(Database& database, const LocationRow& row) {
  TRY(database.run("INSERT OR IGNORE INTO artifact(digest, first_seen_ms) VALUES(?,?)",
                   {sql(row.artifact), sql(now_ms())}));
  return database.run(
      "INSERT INTO location(artifact, piece, host, path, state, changed_ms) VALUES(?,?,?,?,?,?)"
      " ON CONFLICT(artifact, piece, host) DO UPDATE SET path=excluded.path, state=excluded.state, "
      "changed_ms=excluded.changed_ms",
      {sql(row.artifact), sql(row.piece), sql(row.host), sql(row.path),
       sql(row.verified ? "verified" : "copying"), sql(now_ms())});
}

Status insert_task(Database& database, const TaskRow& task, int64_t attempt) {
  return database.run(
      "INSERT INTO task(attempt, number, token, host, role, state) VALUES(?,?,?,?,?,'intent')",
      {sql(attempt), sql(task.index), sql(task.token), sql(task.host), sql(task.role)});
}

Status change_attempt(Database& database, int64_t attempt, AttemptState state, std::string_view cause,
                      std::string_view message) {
  TRY(std::string now, database.text("SELECT state FROM attempt WHERE id=?", {sql(attempt)}));
  if (now.empty())
    return Error{Cause::bug, fmt::format("no attempt {} in {}", attempt, database.file().string())};
  if (is_final(state) && now == name_of(state)) return {};
  return database.run("UPDATE attempt SET state=?, cause=?, message=?, ended_ms=? WHERE id=?",
                      {sql(name_of(state)), sql(cause), sql(message),
                       null_if_zero(is_final(state) ? now_ms() : 0), sql(attempt)});
}

Status save_task(Database& database, const TaskRow& task) {
  TRY(std::string now, database.text("SELECT state FROM task WHERE attempt=? AND number=?",
                                     {sql(task.attempt), sql(task.index)}));
  if (now.empty())
    return Error{Cause::bug, fmt::format("no task {} of attempt {} in {}", task.index, task.attempt,
                                         database.file().string())};
  if (is_final(task.state) && now == name_of(task.state)) return {};
  return database.run(
      "UPDATE task SET state=?, code=?, signal=?, started_ms=?, ended_ms=?, last_seen_ms=?,"
      " progress=CASE WHEN ?7='null' THEN progress ELSE ?7 END, tail=CASE WHEN ?8='' THEN tail ELSE ?8 END "
      "WHERE attempt=? AND number=?",
      {sql(name_of(task.state)), sql(task.code), sql(task.signal), null_if_zero(task.started_ms),
       null_if_zero(is_final(task.state) ? or_now(task.ended_ms) : 0), null_if_zero(task.last_seen_ms),
       sql(task.progress.dump()), sql(task.tail), sql(task.attempt), sql(task.index)});
}

}  // namespace

Result<int64_t> RunStore::begin_attempt(const AttemptRow& attempt, const std::vector<TaskRow>& tasks) {
  int64_t id = 0;
  const auto body = [&]() -> Status {
    Database& database = state_->database();
    TRY(database.run(
        "INSERT INTO step(name, kind) VALUES(?,?) ON CONFLICT(name) DO UPDATE SET kind=excluded.kind",
        {sql(attempt.step), sql(attempt.kind)}));
    TRY(id,
        database.insert(
            "INSERT INTO attempt(run, step, kind, key, resume_key, number, state, reason, inputs, started_ms)"
            " VALUES(?,?,?,?,?,?,'intent',?,?,?)",
            {sql(attempt.run), sql(attempt.step), sql(attempt.kind), sql(attempt.key),
             sql(attempt.resume_key), sql(attempt.number), sql(attempt.reason), sql(attempt.inputs.dump()),
             sql(or_now(attempt.started_ms))}));
    for (const TaskRow& task : tasks) TRY(insert_task(database, task, id));
    state_->writer.forget_waits(attempt.run, attempt.step);
    return database.run("UPDATE run_step SET attempt=?, decision='attempt', waits='' WHERE run=? AND step=?",
                        {sql(id), sql(attempt.run), sql(attempt.step)});
  };
  TRY(state_->writer.write(body));
  return id;
}

Result<int> RunStore::next_attempt_number(std::string_view step) {
  TRY(int64_t last, state_->database().integer("SELECT max(number) FROM attempt WHERE step=?", {sql(step)}));
  return static_cast<int>(last + 1);
}

Status RunStore::set_attempt(int64_t attempt, AttemptState state, std::string_view cause,
                             std::string_view message) {
  return state_->writer.write(
      [&] { return change_attempt(state_->database(), attempt, state, cause, message); });
}

Status RunStore::set_task(const TaskRow& task) {
  return state_->writer.write([&] { return save_task(state_->database(), task); });
}

Status RunStore::set_progress(int64_t attempt, int task, const Json& progress) {
  return state_->writer.put_progress(attempt, task, progress);
}

Status RunStore::set_metrics(int64_t attempt, const Json& metrics) {
  return state_->writer.write([&] {
    return state_->database().run("UPDATE attempt SET metrics=? WHERE id=?",
                                  {sql(metrics.dump()), sql(attempt)});
  });
}

Status RunStore::succeed(int64_t attempt, const std::vector<PieceRow>& pieces,
                         const std::vector<LocationRow>& locations) {
  return state_->writer.write([&]() -> Status {
    Database& database = state_->database();
    int64_t position = 0;
    for (const PieceRow& piece : pieces) {
      TRY(database.run("INSERT OR IGNORE INTO artifact(digest, first_seen_ms) VALUES(?,?)",
                       {sql(piece.digest), sql(now_ms())}));
      TRY(database.run(
          "INSERT OR IGNORE INTO piece(attempt, position, name, digest, bytes) VALUES(?,?,?,?,?)",
          {sql(attempt), sql(position++), sql(piece.name), sql(piece.digest), sql(piece.bytes)}));
    }
    for (const LocationRow& location : locations) TRY(save_location(database, location));
    return change_attempt(database, attempt, AttemptState::succeeded, "", "");
  });
}

Status RunStore::set_location(const LocationRow& location) {
  return state_->writer.write([&] { return save_location(state_->database(), location); });
}

Status RunStore::remove_location(const LocationRow& location) {
  return state_->writer.write([&] {
    return state_->database().run("DELETE FROM location WHERE artifact=? AND piece=? AND host=?",
                                  {sql(location.artifact), sql(location.piece), sql(location.host)});
  });
}

}  // namespace gnnflow
