// The tables, and the steps from each version to the next.
#include "orchestrator/store/schema.h"

#include <array>

#include <fmt/format.h>

namespace gnnflow {
namespace {

// Why checks and triggers, beside the code that writes: a final state that changes, or two unfinished
// attempts of a step, would be believed by every later run.
constexpr std::string_view kVersion1 = R"sql(
CREATE TABLE meta(
  one INTEGER PRIMARY KEY CHECK(one = 1),
  store_id TEXT NOT NULL CHECK(length(store_id) = 32),
  epoch INTEGER NOT NULL DEFAULT 0 CHECK(epoch >= 0),
  made_ms INTEGER NOT NULL,
  holder_host TEXT NOT NULL DEFAULT '',
  holder_pid INTEGER NOT NULL DEFAULT 0,
  holder_start INTEGER NOT NULL DEFAULT 0,
  holder_boot TEXT NOT NULL DEFAULT '',
  holder_since_ms INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE run(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  epoch INTEGER NOT NULL CHECK(epoch > 0),
  command TEXT NOT NULL,
  workflow TEXT NOT NULL,
  params TEXT NOT NULL CHECK(json_valid(params)),
  started_ms INTEGER NOT NULL CHECK(started_ms > 0),
  ended_ms INTEGER CHECK(ended_ms > 0),
  exit_code INTEGER CHECK(exit_code BETWEEN 0 AND 255),
  summary TEXT NOT NULL DEFAULT '',
  CHECK((ended_ms IS NULL) = (exit_code IS NULL))
) STRICT;

CREATE TABLE step(
  name TEXT PRIMARY KEY CHECK(name <> ''),
  kind TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  run INTEGER NOT NULL REFERENCES run(id),
  step TEXT NOT NULL REFERENCES step(name),
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  resume_key TEXT NOT NULL,
  number INTEGER NOT NULL CHECK(number > 0),
  state TEXT NOT NULL CHECK(state IN ('intent','running','publishing','succeeded','failed','lost','cancelled')),
  reason TEXT NOT NULL,
  cause TEXT NOT NULL DEFAULT '',
  message TEXT NOT NULL DEFAULT '',
  inputs TEXT NOT NULL CHECK(json_valid(inputs)),
  metrics TEXT NOT NULL DEFAULT 'null' CHECK(json_valid(metrics)),
  started_ms INTEGER NOT NULL CHECK(started_ms > 0),
  ended_ms INTEGER CHECK(ended_ms > 0),
  UNIQUE(step, number),
  CHECK((ended_ms IS NOT NULL) = (state IN ('succeeded','failed','lost','cancelled')))
) STRICT;
CREATE UNIQUE INDEX attempt_unfinished ON attempt(step) WHERE state IN ('intent','running','publishing');
CREATE INDEX attempt_key ON attempt(step, key, state);
CREATE INDEX attempt_resume_key ON attempt(step, resume_key, state);

CREATE TABLE run_step(
  run INTEGER NOT NULL REFERENCES run(id),
  step TEXT NOT NULL REFERENCES step(name),
  position INTEGER NOT NULL,
  kind TEXT NOT NULL,
  decision TEXT NOT NULL CHECK(decision IN ('cached','attempt','adopted','skipped')),
  attempt INTEGER REFERENCES attempt(id),
  reason TEXT NOT NULL,
  PRIMARY KEY(run, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE task(
  attempt INTEGER NOT NULL REFERENCES attempt(id),
  number INTEGER NOT NULL CHECK(number >= 0),
  token TEXT NOT NULL UNIQUE CHECK(token <> ''),
  host TEXT NOT NULL,
  role TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL CHECK(state IN ('intent','started','unknown','exited','killed','lost')),
  code INTEGER NOT NULL DEFAULT 0,
  signal INTEGER NOT NULL DEFAULT 0,
  started_ms INTEGER,
  ended_ms INTEGER,
  last_seen_ms INTEGER,
  progress TEXT NOT NULL DEFAULT 'null' CHECK(json_valid(progress)),
  tail TEXT NOT NULL DEFAULT '',
  PRIMARY KEY(attempt, number),
  CHECK((ended_ms IS NOT NULL) = (state IN ('exited','killed','lost')))
) STRICT, WITHOUT ROWID;

CREATE TABLE host(
  name TEXT PRIMARY KEY CHECK(name <> ''),
  state TEXT NOT NULL CHECK(state IN ('intent','up','gone')),
  root TEXT NOT NULL,
  boot TEXT NOT NULL DEFAULT '',
  pid INTEGER NOT NULL DEFAULT 0,
  last_seen_ms INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE artifact(
  digest TEXT PRIMARY KEY CHECK(digest <> ''),
  first_seen_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE piece(
  attempt INTEGER NOT NULL REFERENCES attempt(id),
  position INTEGER NOT NULL,
  name TEXT NOT NULL CHECK(name <> ''),
  digest TEXT NOT NULL REFERENCES artifact(digest),
  bytes INTEGER NOT NULL CHECK(bytes >= 0),
  PRIMARY KEY(attempt, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE location(
  artifact TEXT NOT NULL REFERENCES artifact(digest),
  piece TEXT NOT NULL,
  host TEXT NOT NULL,
  path TEXT NOT NULL CHECK(path <> ''),
  state TEXT NOT NULL CHECK(state IN ('copying','verified')),
  changed_ms INTEGER NOT NULL,
  PRIMARY KEY(artifact, piece, host)
) STRICT, WITHOUT ROWID;

CREATE TABLE request(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  run INTEGER NOT NULL REFERENCES run(id),
  what TEXT NOT NULL CHECK(what IN ('stop')),
  time_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX request_run ON request(run);

CREATE TABLE event(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  time_ms INTEGER NOT NULL,
  run INTEGER NOT NULL REFERENCES run(id),
  step TEXT NOT NULL,
  text TEXT NOT NULL
) STRICT;
CREATE INDEX event_run ON event(run);

CREATE TABLE file_digest(
  path TEXT PRIMARY KEY,
  stamp TEXT NOT NULL,
  digest TEXT NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO meta(one, store_id, made_ms)
  VALUES(1, lower(hex(randomblob(16))), CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER));

CREATE TRIGGER run_final BEFORE UPDATE ON run WHEN OLD.ended_ms IS NOT NULL
  BEGIN SELECT RAISE(ABORT, 'this run has ended'); END;
CREATE TRIGGER run_kept BEFORE DELETE ON run
  BEGIN SELECT RAISE(ABORT, 'runs are kept'); END;
CREATE TRIGGER attempt_final BEFORE UPDATE ON attempt WHEN OLD.state IN ('succeeded','failed','lost','cancelled')
  BEGIN SELECT RAISE(ABORT, 'this attempt is final'); END;
CREATE TRIGGER attempt_order BEFORE UPDATE OF state ON attempt
  WHEN (OLD.state <> 'intent' AND NEW.state = 'intent') OR (OLD.state = 'publishing' AND NEW.state = 'running')
  BEGIN SELECT RAISE(ABORT, 'an attempt does not go back'); END;
CREATE TRIGGER attempt_same BEFORE UPDATE OF id, run, step, kind, key, resume_key, number ON attempt
  BEGIN SELECT RAISE(ABORT, 'what an attempt is does not change'); END;
CREATE TRIGGER attempt_kept BEFORE DELETE ON attempt
  BEGIN SELECT RAISE(ABORT, 'attempts are kept'); END;
CREATE TRIGGER task_final BEFORE UPDATE ON task WHEN OLD.state IN ('exited','killed','lost')
  BEGIN SELECT RAISE(ABORT, 'this task is final'); END;
CREATE TRIGGER task_order BEFORE UPDATE OF state ON task WHEN OLD.state = 'started' AND NEW.state = 'intent'
  BEGIN SELECT RAISE(ABORT, 'a task does not go back'); END;
CREATE TRIGGER task_same BEFORE UPDATE OF attempt, number, token, host ON task
  BEGIN SELECT RAISE(ABORT, 'what a task is does not change'); END;
CREATE TRIGGER task_kept BEFORE DELETE ON task
  BEGIN SELECT RAISE(ABORT, 'tasks are kept'); END;
CREATE TRIGGER piece_kept BEFORE UPDATE ON piece
  BEGIN SELECT RAISE(ABORT, 'pieces do not change'); END;
CREATE TRIGGER event_appended BEFORE UPDATE ON event
  BEGIN SELECT RAISE(ABORT, 'events are only added'); END;
CREATE TRIGGER event_kept BEFORE DELETE ON event
  BEGIN SELECT RAISE(ABORT, 'events are only added'); END;
)sql";

// Whose state it is, how its hosts are reached, what a step that could begin waits for.
constexpr std::string_view kVersion2 = R"sql(
ALTER TABLE meta ADD COLUMN workflow TEXT NOT NULL DEFAULT '';
ALTER TABLE meta ADD COLUMN workflow_file TEXT NOT NULL DEFAULT '';
ALTER TABLE meta ADD COLUMN lease_ms INTEGER NOT NULL DEFAULT 0 CHECK(lease_ms >= 0);
ALTER TABLE meta ADD COLUMN grace_ms INTEGER NOT NULL DEFAULT 0 CHECK(grace_ms >= 0);
ALTER TABLE host ADD COLUMN entry TEXT NOT NULL DEFAULT 'null' CHECK(json_valid(entry));
ALTER TABLE run_step ADD COLUMN waits TEXT NOT NULL DEFAULT '';
)sql";

// kSteps[v] leads from version v to v + 1.
constexpr std::array<std::string_view, kSchemaVersion> kSteps = {kVersion1, kVersion2};

Status step_up(Database& database, int64_t from) {
  TRY(Transaction transaction, Transaction::begin(database));
  // Another process may have done it while this one waited.
  TRY(int64_t now, database.integer("PRAGMA user_version"));
  if (now != from) return {};
  TRY(database.script(kSteps[static_cast<size_t>(from)]));
  TRY(database.script(
      fmt::format("PRAGMA application_id={}; PRAGMA user_version={}", kApplicationId, from + 1)));
  return transaction.commit();
}

}  // namespace

Result<SchemaState> look_at_schema(Database& database) {
  TRY(int64_t application, database.integer("PRAGMA application_id"));
  TRY(int64_t version, database.integer("PRAGMA user_version"));
  TRY(int64_t tables, database.integer("SELECT count(*) FROM sqlite_master"));
  const std::string file = database.file().string();
  // Killed between the making of the file and its first commit: nothing is in it.
  if (application == 0 && version == 0 && tables == 0) return SchemaState::absent;
  if (application != kApplicationId || version < 1) {
    return Error{
        Cause::bad_state,
        fmt::format("{}: not a state of gnnflow (application id {:#x}); move it away", file, application)};
  }
  if (version > kSchemaVersion) {
    return Error{
        Cause::bad_state,
        fmt::format(
            "{}: written by a newer gnnflow (version {} of the state, this program knows {}); use that one",
            file, version, kSchemaVersion)};
  }
  return version < kSchemaVersion ? SchemaState::older : SchemaState::current;
}

Status bring_schema_up(Database& database) {
  TRY(std::string mode, database.text("PRAGMA journal_mode=WAL"));
  if (mode != "wal") {
    return Error{Cause::failed, fmt::format("{}: SQLite cannot use its write-ahead log here (mode '{}')",
                                            database.file().string(), mode)};
  }
  TRY(int64_t version, database.integer("PRAGMA user_version"));
  for (; version < kSchemaVersion; ++version) TRY(step_up(database, version));
  return {};
}

}  // namespace gnnflow
