// Writing runs, their steps, hosts, events.
#include <fmt/format.h>

#include "orchestrator/store/rows.h"
#include "orchestrator/store/run_store.h"
#include "orchestrator/store/run_store_state.h"

namespace gnnflow {
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

}  // namespace

Result<int64_t> RunStore::begin_run(const RunRow& run, const std::vector<RunStepRow>& steps) {
  int64_t id = 0;
  const auto body = [&]() -> Status {
    TRY(id, state_->database().insert(
                "INSERT INTO run(epoch, command, workflow, params, started_ms) VALUES(?,?,?,?,?)",
                {sql(state_->epoch), sql(run.command), sql(run.workflow), sql(run.params.dump()),
                 sql(or_now(run.started_ms))}));
    for (const RunStepRow& row : steps) TRY(save_step(state_->database(), row, id));
    if (run.ended_ms == 0) return {};
    // A run with nothing to do has ended when it is told.
    return state_->database().run("UPDATE run SET ended_ms=?, exit_code=?, summary=? WHERE id=?",
                                  {sql(run.ended_ms), sql(run.exit_code), sql(run.summary), sql(id)});
  };
  TRY(state_->writer.write(body));
  return id;
}

Status RunStore::end_run(int64_t run, int exit_code, std::string_view summary) {
  return state_->writer.write([&]() -> Status {
    TRY(state_->database().run("UPDATE run SET ended_ms=?, exit_code=?, summary=? WHERE id=?",
                               {sql(now_ms()), sql(exit_code), sql(summary), sql(run)}));
    if (state_->database().changes() == 1) return {};
    return Error{Cause::bug, fmt::format("no run {} in {}", run, state_->database().file().string())};
  });
}

Status RunStore::set_step(const RunStepRow& row) {
  return state_->writer.write([&] { return save_step(state_->database(), row, row.run); });
}

Status RunStore::set_waits(int64_t run, std::string_view step, std::string_view what) {
  return state_->writer.put_waits(run, step, what);
}

Status RunStore::set_host(const HostRow& host) {
  return state_->writer.write([&] {
    return state_->database().run(
        "INSERT INTO host(name, state, root, boot, pid, last_seen_ms) VALUES(?,?,?,?,?,?)"
        " ON CONFLICT(name) DO UPDATE SET state=excluded.state, root=excluded.root, boot=excluded.boot,"
        " pid=excluded.pid, last_seen_ms=excluded.last_seen_ms",
        {sql(host.name), sql(name_of(host.state)), sql(host.root), sql(host.boot), sql(host.pid),
         sql(host.last_seen_ms)});
  });
}

Status RunStore::add_event(int64_t run, std::string_view step, std::string_view text) {
  return state_->writer.write([&] {
    return state_->database().run("INSERT INTO event(time_ms, run, step, text) VALUES(?,?,?,?)",
                                  {sql(now_ms()), sql(run), sql(step), sql(text)});
  });
}

}  // namespace gnnflow
