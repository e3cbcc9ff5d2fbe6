// The writing side: the lock, the epoch, and one transaction per call.
#include "orchestrator/store/run_store.h"

#include <algorithm>
#include <map>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "common/base/child_process.h"
#include "common/base/log.h"
#include "orchestrator/store/rows.h"
#include "orchestrator/store/schema.h"
#include "orchestrator/store/sqlite.h"
#include "orchestrator/store/state_folder.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kProgressEvery{1000};
constexpr int kHolderTries = 50;
constexpr Milliseconds kHolderPause{20};

int64_t now_ms() { return system_clock().unix_milliseconds(); }
int64_t or_now(int64_t time_ms) { return time_ms > 0 ? time_ms : now_ms(); }

std::string this_host() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

// Who took the lock; nothing while that one has not yet written it down.
std::optional<std::string> read_holder(const StateFolder& place) {
  Result<Database> database = Database::open(place.database(), Database::Mode::read, Milliseconds(200));
  if (!database) return std::nullopt;
  std::optional<std::string> holder;
  Status read = database->each(
      "SELECT holder_pid, holder_start, holder_boot, holder_host, holder_since_ms FROM meta", {},
      [&](const SqlRow& row) {
        const ProcessIdentity who{static_cast<int>(row.integer(0)), row.integer(1), row.text(2)};
        // 0: it has just made the state and not yet signed. A dead one of this machine was here before it.
        if (who.pid > 0 && (row.text(3) != this_host() || who.alive())) {
          holder =
              fmt::format("process {} on {} since {}", who.pid, row.text(3), format_time(row.integer(4)));
        }
        return Status();
      });
  return read ? holder : std::nullopt;
}

Result<FileLock> take_lock(const StateFolder& place) {
  Result<FileLock> lock = FileLock::take(place.lock());
  if (lock || lock.error().cause != Cause::locked) return lock;
  std::optional<std::string> holder = read_holder(place);
  for (int i = 0; !holder && i < kHolderTries; ++i) {
    std::this_thread::sleep_for(kHolderPause);
    holder = read_holder(place);
  }
  return Error{Cause::locked,
               fmt::format("{}: another controller holds the state: {}; wait until it has ended, or end it",
                           place.folder.string(), holder.value_or("one that is just starting or ending"))};
}

// SQLite would make it readable for all.
Status make_private_file(const fs::path& path) {
  FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file) return system_error("making " + path.string(), errno);
  return {};
}

// The folder, and those above that may have been made with it: .gnnflow/<name>.
Status sync_new_state(const fs::path& folder) {
  const fs::path at = fs::absolute(folder).lexically_normal();
  TRY(sync_folder(at));
  TRY(sync_folder(at.parent_path()));
  return sync_folder(at.parent_path().parent_path());
}

}  // namespace

struct RunStore::State {
  FileLock lock;  // freed last
  Database database;
  std::optional<Database> loose;  // commits without fsync, for what may be lost with the power
  std::string store_id;
  int64_t epoch = 0;
  bool made = false;
  std::map<std::pair<int64_t, int>, Json> progress;  // not yet written
  Deadline next_progress = Deadline::after(Milliseconds(0));

  State(FileLock held, Database opened) : lock(std::move(held)), database(std::move(opened)) {}
  Status become_holder();
  Result<Database*> loose_database();
  Status write_progress(Database& to);
  Status flush_progress();
  Status write(const std::function<Status()>& body);
  Status save_task(const TaskRow& task);
};

Status RunStore::State::become_holder() {
  TRY(ProcessIdentity self, identity_of(::getpid()));
  TRY(write([&] {
    return database.run(
        "UPDATE meta SET epoch=epoch+1, holder_host=?, holder_pid=?, holder_start=?, holder_boot=?, "
        "holder_since_ms=?",
        {sql(this_host()), sql(self.pid), sql(self.start_time), sql(self.boot), sql(now_ms())});
  }));
  TRY(store_id, database.text("SELECT store_id FROM meta"));
  TRY(epoch, database.integer("SELECT epoch FROM meta"));
  if (epoch < 1)
    return Error{Cause::bad_state,
                 database.file().string() + ": its table meta is empty; restore it from a copy"};
  return {};
}

Result<Database*> RunStore::State::loose_database() {
  if (!loose) {
    TRY(Database opened, Database::open(database.file(), Database::Mode::write));
    // In WAL mode: no fsync at a commit, the order of commits still holds.
    TRY(opened.run("PRAGMA synchronous=NORMAL"));
    loose.emplace(std::move(opened));
  }
  return &*loose;
}

Status RunStore::State::write_progress(Database& to) {
  for (const auto& [task, news] : progress) {
    // Late news of a task that has ended are dropped.
    TRY(to.run(
        "UPDATE task SET progress=? WHERE attempt=? AND number=? AND state IN ('intent','started','unknown')",
        {sql(news.dump()), sql(task.first), sql(task.second)}));
  }
  return {};
}

Status RunStore::State::flush_progress() {
  if (progress.empty()) return {};
  TRY(Database * to, loose_database());
  TRY(Transaction transaction, Transaction::begin(*to));
  TRY(write_progress(*to));
  TRY(transaction.commit());
  progress.clear();
  next_progress = Deadline::after(kProgressEvery);
  return {};
}

// One durable transaction; progress that waits goes with it.
Status RunStore::State::write(const std::function<Status()>& body) {
  TRY(Transaction transaction, Transaction::begin(database));
  TRY(write_progress(database));
  TRY(body());
  TRY(transaction.commit());
  progress.clear();
  return {};
}

RunStore::RunStore(std::unique_ptr<State> state) : state_(std::move(state)) {}
RunStore::RunStore(RunStore&&) noexcept = default;
RunStore& RunStore::operator=(RunStore&&) noexcept = default;
RunStore::~RunStore() {
  if (!state_) return;
  if (Status flushed = state_->flush_progress(); !flushed) log_warning("{}", flushed.error().message);
}

Result<RunStore> RunStore::open(const fs::path& folder) {
  const StateFolder place{folder};
  TRY(refuse_network_file_system(folder));
  TRY(create_folders(folder));
  TRY(FileLock lock, take_lock(place));
  TRY(make_private_file(place.database()));
  TRY(Database database, Database::open(place.database(), Database::Mode::write));
  TRY(SchemaState schema, look_at_schema(database));
  if (schema != SchemaState::current) TRY(bring_schema_up(database));
  TRY(database.run("PRAGMA synchronous=FULL"));
  auto state = std::make_unique<State>(std::move(lock), std::move(database));
  state->made = schema == SchemaState::absent;
  if (state->made) TRY(sync_new_state(folder));
  TRY(state->become_holder());
  return RunStore(std::move(state));
}

const std::string& RunStore::store_id() const { return state_->store_id; }
int64_t RunStore::epoch() const { return state_->epoch; }
bool RunStore::made() const { return state_->made; }

namespace {

Status save_step(Database& database, const RunStepRow& row, int64_t run) {
  TRY(database.run(
      "INSERT INTO step(name, kind) VALUES(?,?) ON CONFLICT(name) DO UPDATE SET kind=excluded.kind",
      {sql(row.step), sql(row.kind)}));
  return database.run(
      "INSERT INTO run_step(run, step, position, kind, decision, attempt, reason)"
      " VALUES(?1,?2,(SELECT count(*) FROM run_step WHERE run=?1),?3,?4,?5,?6)"
      " ON CONFLICT(run, step) DO UPDATE SET kind=excluded.kind, decision=excluded.decision, "
      "attempt=excluded.attempt, reason=excluded.reason",
      {sql(run), sql(row.step), sql(row.kind), sql(name_of(row.decision)), null_if_zero(row.attempt),
       sql(row.reason)});
}

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

bool has_ended(TaskState state) { return state >= TaskState::exited; }

}  // namespace

Result<int64_t> RunStore::begin_run(const RunRow& run, const std::vector<RunStepRow>& steps) {
  int64_t id = 0;
  const auto body = [&]() -> Status {
    TRY(id, state_->database.insert(
                "INSERT INTO run(epoch, command, workflow, params, started_ms) VALUES(?,?,?,?,?)",
                {sql(state_->epoch), sql(run.command), sql(run.workflow), sql(run.params.dump()),
                 sql(or_now(run.started_ms))}));
    for (const RunStepRow& row : steps) TRY(save_step(state_->database, row, id));
    if (run.ended_ms == 0) return {};
    // A run with nothing to do has ended when it is told.
    return state_->database.run("UPDATE run SET ended_ms=?, exit_code=?, summary=? WHERE id=?",
                                {sql(run.ended_ms), sql(run.exit_code), sql(run.summary), sql(id)});
  };
  TRY(state_->write(body));
  return id;
}

Status RunStore::end_run(int64_t run, int exit_code, std::string_view summary) {
  return state_->write([&]() -> Status {
    TRY(state_->database.run("UPDATE run SET ended_ms=?, exit_code=?, summary=? WHERE id=?",
                             {sql(now_ms()), sql(exit_code), sql(summary), sql(run)}));
    if (state_->database.changes() == 1) return {};
    return Error{Cause::bug, fmt::format("no run {} in {}", run, state_->database.file().string())};
  });
}

Status RunStore::set_step(const RunStepRow& row) {
  return state_->write([&] { return save_step(state_->database, row, row.run); });
}

Result<int64_t> RunStore::begin_attempt(const AttemptRow& attempt, const std::vector<TaskRow>& tasks) {
  int64_t id = 0;
  const auto body = [&]() -> Status {
    Database& database = state_->database;
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
    return database.run("UPDATE run_step SET attempt=?, decision='attempt' WHERE run=? AND step=?",
                        {sql(id), sql(attempt.run), sql(attempt.step)});
  };
  TRY(state_->write(body));
  return id;
}

Result<int> RunStore::next_attempt_number(std::string_view step) {
  TRY(int64_t last, state_->database.integer("SELECT max(number) FROM attempt WHERE step=?", {sql(step)}));
  return static_cast<int>(last + 1);
}

Status RunStore::set_attempt(int64_t attempt, AttemptState state, std::string_view cause,
                             std::string_view message) {
  return state_->write([&] { return change_attempt(state_->database, attempt, state, cause, message); });
}

Status RunStore::State::save_task(const TaskRow& task) {
  TRY(std::string now, database.text("SELECT state FROM task WHERE attempt=? AND number=?",
                                     {sql(task.attempt), sql(task.index)}));
  if (now.empty())
    return Error{Cause::bug, fmt::format("no task {} of attempt {} in {}", task.index, task.attempt,
                                         database.file().string())};
  if (has_ended(task.state) && now == name_of(task.state)) return {};
  return database.run(
      "UPDATE task SET state=?, code=?, signal=?, started_ms=?, ended_ms=?, last_seen_ms=?,"
      " progress=CASE WHEN ?7='null' THEN progress ELSE ?7 END, tail=CASE WHEN ?8='' THEN tail ELSE ?8 END "
      "WHERE attempt=? AND number=?",
      {sql(name_of(task.state)), sql(task.code), sql(task.signal), null_if_zero(task.started_ms),
       null_if_zero(has_ended(task.state) ? or_now(task.ended_ms) : 0), null_if_zero(task.last_seen_ms),
       sql(task.progress.dump()), sql(task.tail), sql(task.attempt), sql(task.index)});
}

Status RunStore::set_task(const TaskRow& task) {
  return state_->write([&] { return state_->save_task(task); });
}

Status RunStore::set_progress(int64_t attempt, int task, const Json& progress) {
  state_->progress[{attempt, task}] = progress;
  return state_->next_progress.passed() ? state_->flush_progress() : Status();
}

Status RunStore::set_metrics(int64_t attempt, const Json& metrics) {
  return state_->write([&] {
    return state_->database.run("UPDATE attempt SET metrics=? WHERE id=?",
                                {sql(metrics.dump()), sql(attempt)});
  });
}

Status RunStore::succeed(int64_t attempt, const std::vector<PieceRow>& pieces,
                         const std::vector<LocationRow>& locations) {
  return state_->write([&]() -> Status {
    Database& database = state_->database;
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

Status RunStore::set_host(const HostRow& host) {
  return state_->write([&] {
    return state_->database.run(
        "INSERT INTO host(name, state, root, boot, pid, last_seen_ms) VALUES(?,?,?,?,?,?) ON CONFLICT(name) "
        "DO UPDATE SET"
        " state=excluded.state, root=excluded.root, boot=excluded.boot, pid=excluded.pid, "
        "last_seen_ms=excluded.last_seen_ms",
        {sql(host.name), sql(name_of(host.state)), sql(host.root), sql(host.boot), sql(host.pid),
         sql(host.last_seen_ms)});
  });
}

Status RunStore::set_location(const LocationRow& location) {
  return state_->write([&] { return save_location(state_->database, location); });
}

Status RunStore::remove_location(const LocationRow& location) {
  return state_->write([&] {
    return state_->database.run("DELETE FROM location WHERE artifact=? AND piece=? AND host=?",
                                {sql(location.artifact), sql(location.piece), sql(location.host)});
  });
}

Status RunStore::add_event(int64_t run, std::string_view step, std::string_view text) {
  return state_->write([&] {
    return state_->database.run("INSERT INTO event(time_ms, run, step, text) VALUES(?,?,?,?)",
                                {sql(now_ms()), sql(run), sql(step), sql(text)});
  });
}

Result<bool> RunStore::stop_requested(int64_t run) {
  // Asked often: the moment to write the last progress of a task that says nothing more for a while.
  if (state_->next_progress.passed()) TRY(state_->flush_progress());
  TRY(int64_t asked,
      state_->database.integer("SELECT count(*) FROM request WHERE run=? AND what='stop'", {sql(run)}));
  return asked > 0;
}

Result<std::optional<std::string>> RunStore::remembered_digest(const fs::path& file, std::string_view stamp) {
  TRY(std::string digest, state_->database.text("SELECT digest FROM file_digest WHERE path=? AND stamp=?",
                                                {sql(file.native()), sql(stamp)}));
  if (digest.empty()) return std::optional<std::string>();
  return std::optional<std::string>(std::move(digest));
}

Status RunStore::remember_digest(const fs::path& file, std::string_view stamp, std::string_view digest) {
  TRY(Database * to, state_->loose_database());
  return to->run("INSERT OR REPLACE INTO file_digest(path, stamp, digest) VALUES(?,?,?)",
                 {sql(file.native()), sql(stamp), sql(digest)});
}

Result<std::vector<AttemptRow>> RunStore::unfinished_attempts() {
  return read_attempts(state_->database, "WHERE state IN ('intent','running','publishing') ORDER BY id", {});
}

Result<std::vector<TaskRow>> RunStore::tasks_of(int64_t attempt) {
  return read_tasks(state_->database, attempt);
}

Result<std::vector<HostRow>> RunStore::hosts() { return read_hosts(state_->database); }

namespace {

Result<std::optional<AttemptRow>> first_of(Result<std::vector<AttemptRow>> attempts) {
  if (!attempts) return std::move(attempts).error();
  if (attempts->empty()) return std::optional<AttemptRow>();
  return std::optional<AttemptRow>(std::move(attempts->front()));
}

}  // namespace

Result<std::optional<AttemptRow>> RunStore::last_succeeded(std::string_view step, std::string_view key) {
  return first_of(read_attempts(state_->database,
                                "WHERE step=? AND key=? AND state='succeeded' ORDER BY id DESC LIMIT 1",
                                {sql(step), sql(key)}));
}

Result<std::optional<AttemptRow>> RunStore::last_attempt(std::string_view step) {
  return first_of(read_attempts(state_->database, "WHERE step=? ORDER BY number DESC LIMIT 1", {sql(step)}));
}

Result<std::vector<AttemptRow>> RunStore::succeeded_with_resume_key(std::string_view step,
                                                                    std::string_view resume_key) {
  return read_attempts(state_->database,
                       "WHERE step=? AND resume_key=? AND state='succeeded' ORDER BY id DESC",
                       {sql(step), sql(resume_key)});
}

Result<std::vector<PieceRow>> RunStore::pieces_of(int64_t attempt) {
  std::vector<PieceRow> pieces;
  TRY(state_->database.each("SELECT name, digest, bytes FROM piece WHERE attempt=? ORDER BY position",
                            {sql(attempt)}, [&](const SqlRow& row) {
                              pieces.push_back({row.text(0), row.text(1), row.integer(2)});
                              return Status();
                            }));
  return pieces;
}

Result<std::vector<LocationRow>> RunStore::locations_of(std::string_view artifact) {
  std::vector<LocationRow> locations;
  TRY(state_->database.each(
      "SELECT artifact, piece, host, path, state FROM location WHERE artifact=? ORDER BY piece, host",
      {sql(artifact)}, [&](const SqlRow& row) {
        locations.push_back({row.text(0), row.text(1), row.text(2), row.text(3), row.text(4) == "verified"});
        return Status();
      }));
  return locations;
}

}  // namespace gnnflow
