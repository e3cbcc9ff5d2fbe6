-- A state of version 2 with a row in each table, as `sqlite3 gnnflow.db .dump` wrote it, and the two pragmas that it leaves out.
PRAGMA application_id=1196312065;
PRAGMA user_version=2;
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
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
, workflow TEXT NOT NULL DEFAULT '', workflow_file TEXT NOT NULL DEFAULT '', lease_ms INTEGER NOT NULL DEFAULT 0 CHECK(lease_ms >= 0), grace_ms INTEGER NOT NULL DEFAULT 0 CHECK(grace_ms >= 0)) STRICT;
INSERT INTO meta VALUES(1,'00112233445566778899aabbccddeeff',3,1764000000000,'box',4711,100,'b',1764000000001,'flow','/home/u/flow.yml',600000,10000);
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
INSERT INTO run VALUES(1,3,'run','w1','{"epochs":10}',1764000000002,NULL,NULL,'');
CREATE TABLE step(
  name TEXT PRIMARY KEY CHECK(name <> ''),
  kind TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO step VALUES('graph','generate');
INSERT INTO step VALUES('model','train');
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
INSERT INTO attempt VALUES(1,1,'graph','generate','k1','r1',1,'succeeded','never ran','','','{"preset":"tiny"}','null',1764000000003,1764000000004);
INSERT INTO attempt VALUES(2,1,'model','train','k2','r2',1,'running','never ran','','','{"graph":"d1"}','{"val":0.5}',1764000000005,NULL);
CREATE TABLE run_step(
  run INTEGER NOT NULL REFERENCES run(id),
  step TEXT NOT NULL REFERENCES step(name),
  position INTEGER NOT NULL,
  kind TEXT NOT NULL,
  decision TEXT NOT NULL CHECK(decision IN ('cached','attempt','adopted','skipped')),
  attempt INTEGER REFERENCES attempt(id),
  reason TEXT NOT NULL, waits TEXT NOT NULL DEFAULT '',
  PRIMARY KEY(run, step)
) STRICT, WITHOUT ROWID;
INSERT INTO run_step VALUES(1,'graph',0,'generate','attempt',1,'never ran','');
INSERT INTO run_step VALUES(1,'model',1,'train','attempt',2,'never ran','');
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
INSERT INTO task VALUES(1,0,'s.1.graph.1.0','controller','','exited',0,0,1764000000003,1764000000004,1764000000004,'null','');
INSERT INTO task VALUES(2,0,'s.1.model.1.0','controller','rank 0','started',0,0,1764000000005,NULL,1764000000006,'{"phase":"epoch 3"}','');
CREATE TABLE host(
  name TEXT PRIMARY KEY CHECK(name <> ''),
  state TEXT NOT NULL CHECK(state IN ('intent','up','gone')),
  root TEXT NOT NULL,
  boot TEXT NOT NULL DEFAULT '',
  pid INTEGER NOT NULL DEFAULT 0,
  last_seen_ms INTEGER NOT NULL DEFAULT 0
, entry TEXT NOT NULL DEFAULT 'null' CHECK(json_valid(entry))) STRICT, WITHOUT ROWID;
INSERT INTO host VALUES('controller','up','/w/s/controller','b',4712,1764000000006,'{"address":"local"}');
CREATE TABLE artifact(
  digest TEXT PRIMARY KEY CHECK(digest <> ''),
  first_seen_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO artifact VALUES('d1',1764000000004);
CREATE TABLE piece(
  attempt INTEGER NOT NULL REFERENCES attempt(id),
  position INTEGER NOT NULL,
  name TEXT NOT NULL CHECK(name <> ''),
  digest TEXT NOT NULL REFERENCES artifact(digest),
  bytes INTEGER NOT NULL CHECK(bytes >= 0),
  PRIMARY KEY(attempt, name)
) STRICT, WITHOUT ROWID;
INSERT INTO piece VALUES(1,0,'graph','d1',1000);
CREATE TABLE location(
  artifact TEXT NOT NULL REFERENCES artifact(digest),
  piece TEXT NOT NULL,
  host TEXT NOT NULL,
  path TEXT NOT NULL CHECK(path <> ''),
  state TEXT NOT NULL CHECK(state IN ('copying','verified')),
  changed_ms INTEGER NOT NULL,
  PRIMARY KEY(artifact, piece, host)
) STRICT, WITHOUT ROWID;
INSERT INTO location VALUES('d1','graph','controller','outputs/graph/k1/1/graph','verified',1764000000004);
CREATE TABLE request(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  run INTEGER NOT NULL REFERENCES run(id),
  what TEXT NOT NULL CHECK(what IN ('stop')),
  time_ms INTEGER NOT NULL
) STRICT;
INSERT INTO request VALUES(1,1,'stop',1764000000007);
CREATE TABLE event(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  time_ms INTEGER NOT NULL,
  run INTEGER NOT NULL REFERENCES run(id),
  step TEXT NOT NULL,
  text TEXT NOT NULL
) STRICT;
INSERT INTO event VALUES(1,1764000000004,1,'graph','made');
CREATE TABLE file_digest(
  path TEXT PRIMARY KEY,
  stamp TEXT NOT NULL,
  digest TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO file_digest VALUES('/w/in.csv','10 1.0 1.0 1:2','d0');
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('run',1);
INSERT INTO sqlite_sequence VALUES('attempt',2);
INSERT INTO sqlite_sequence VALUES('request',1);
INSERT INTO sqlite_sequence VALUES('event',1);
CREATE UNIQUE INDEX attempt_unfinished ON attempt(step) WHERE state IN ('intent','running','publishing');
CREATE INDEX attempt_key ON attempt(step, key, state);
CREATE INDEX attempt_resume_key ON attempt(step, resume_key, state);
CREATE INDEX request_run ON request(run);
CREATE INDEX event_run ON event(run);
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
COMMIT;
