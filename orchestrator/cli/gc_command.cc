// `gnnflow gc`: removes here and on every host what no kept run needs.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/gc_hosts.h"
#include "orchestrator/cli/gc_plan.h"
#include "orchestrator/cli/gc_report.h"
#include "orchestrator/cli/hosts.h"
#include "orchestrator/cli/state_place.h"
#include "orchestrator/cli/stored_hosts.h"
#include "orchestrator/store/run_store.h"
#include "orchestrator/store/store_reader.h"

namespace gnnflow {
namespace {

// Daemons that gc has started end soon when gc is killed.
constexpr Milliseconds kLease{30'000};

// What the newest runs refer to, as many of them as results are kept.
Result<std::set<int64_t>> last_runs(const fs::path& state, int keep) {
  TRY(StoreReader reader, StoreReader::open(state));
  TRY(std::vector<RunRow> runs, reader.runs());
  std::set<int64_t> attempts;
  const size_t first = runs.size() - std::min(runs.size(), static_cast<size_t>(keep));
  for (size_t i = first; i < runs.size(); ++i) {
    TRY(RunStatus run, reader.status(runs[i].id));
    for (const StepStatus& step : run.steps) attempts.insert(step.row.attempt);  // 0: none
  }
  return attempts;
}

Result<GcRows> read_rows(RunStore& store, const fs::path& state, const Workflow& workflow, int keep) {
  GcRows rows;
  rows.store_id = store.store_id();
  rows.keep = keep;
  for (const StepEntry& step : workflow.steps) rows.steps.push_back(step.name);
  TRY(rows.attempts, store.attempts());
  for (const AttemptRow& attempt : rows.attempts) {
    if (attempt.state != AttemptState::succeeded) continue;
    TRY(rows.pieces[attempt.id], store.pieces_of(attempt.id));
  }
  TRY(rows.locations, store.locations());
  TRY(rows.last_runs, last_runs(state, keep));
  return rows;
}

// Nothing is started where nothing of this store can lie.
Result<std::vector<HostTidy>> hosts_to_tidy(RunStore& store, const GcRows& rows,
                                            std::vector<std::unique_ptr<Host>> hosts) {
  std::set<std::string> wanted, reached;
  TRY(std::vector<HostRow> known, store.hosts());
  for (const HostRow& row : known) {
    if (!row.root.empty()) wanted.insert(row.name);
    if (row.last_seen_ms != 0) reached.insert(row.name);
  }
  for (const LocationRow& row : rows.locations) reached.insert(row.host);
  std::vector<HostTidy> found;
  std::error_code ignored;
  for (std::unique_ptr<Host>& host : hosts) {
    const std::string name = host->name();
    const bool here = host->root().is_absolute() && fs::exists(host->root(), ignored);
    HostTidy at{name, std::move(host), here || reached.count(name) != 0};
    if (!at.reached_before && wanted.count(name) == 0) at.passed_over = "never used";
    found.push_back(std::move(at));
  }
  return found;
}

bool is_unfinished(const AttemptRow& attempt) { return !is_final(attempt.state); }

// What an interrupted run has left: nobody can go on with it when its folders have gone.
Status end_unfinished(RunStore& store, const std::vector<AttemptRow>& attempts) {
  return store.together([&]() -> Status {
    for (const AttemptRow& attempt : attempts) {
      if (!is_unfinished(attempt)) continue;
      TRY(std::vector<TaskRow> tasks, store.tasks_of(attempt.id));
      for (TaskRow& task : tasks) {
        if (is_final(task.state)) continue;
        task.state = TaskState::lost;
        TRY(store.set_task(task));
      }
      TRY(store.set_attempt(attempt.id, AttemptState::cancelled, name_of(Cause::stopped),
                            "removed by `gnnflow gc --all`"));
    }
    return {};
  });
}

// REQUIRES: the store is held.
class Gc {
 public:
  Gc(RunStore& store, const GcRows& rows, const CommandLine& line, const StopSignal& stop)
      : store_(store),
        rows_(rows),
        plan_(rows, system_clock().unix_milliseconds()),
        line_(line),
        stop_(stop) {}

  Status run(std::vector<HostTidy>& hosts, const DaemonGreeting& greeting) {
    on_all(hosts, [&](HostTidy& at) { return look(at, greeting); });
    const Status done = line_.dry_run || stop_.raised() ? Status() : remove(hosts);
    leave_all(hosts);  // also when something went wrong
    return done;
  }

 private:
  Status look(HostTidy& at, const DaemonGreeting& greeting) {
    Result<std::vector<StoredThing>> things = look_at(at, greeting, plan_);
    if (!things && !at.reached_before && things.error().cause == Cause::unreachable) {
      at.passed_over = "never reached: " + things.error().message;
      return {};
    }
    if (!things) return std::move(things).error();
    for (StoredThing& thing : *things) {
      if (line_.all || !plan_.keeps(at.name, thing)) at.doomed.push_back(std::move(thing));
    }
    return sweep_programs(at, Programs::look, line_.all);
  }

  Status remove(std::vector<HostTidy>& hosts) {
    if (line_.all) TRY(end_unfinished(store_, rows_.attempts));
    TRY(remove_rows(hosts));
    on_all(hosts, [&](HostTidy& at) -> Status {
      TRY(end_jobs(at, plan_, line_.all ? Jobs::all : Jobs::strangers));
      if (!line_.all) TRY(remove_doomed(at, stop_));
      TRY(sweep_programs(at, Programs::remove, line_.all));
      return line_.all ? forget(at) : Status();
    });
    return {};
  }

  // Rows first: a gc that is killed leaves files that no row names, and the next one finds them.
  Status remove_rows(const std::vector<HostTidy>& hosts) {
    return store_.together([&]() -> Status {
      for (const HostTidy& at : hosts) {
        if (at.error || !at.passed_over.empty()) continue;
        for (const LocationRow& row : line_.all ? rows_.locations : plan_.rows_to_remove(at.name)) {
          if (row.host == at.name) TRY(store_.remove_location(row));
        }
      }
      return {};
    });
  }

  RunStore& store_;
  const GcRows& rows_;
  const GcPlan plan_;
  const CommandLine& line_;
  const StopSignal& stop_;
};

// `results/<step>` of a result that went leads nowhere.
void remove_dead_links(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code gone;
    if (entry->is_symlink(gone) && !fs::exists(entry->path(), gone)) fs::remove(entry->path(), gone);
  }
  fs::remove(folder, error);  // unless something is in it
}

void tell(const CommandLine& line, const Console& console, const Workflow& workflow,
          const std::vector<HostTidy>& hosts) {
  const GcScene scene{workflow.name, line.dry_run};
  console.out(line.json ? gc_json(scene, hosts).dump() + "\n" : gc_text(scene, hosts));
  for (const HostTidy& at : hosts) {
    if (at.error)
      console.err(fmt::format("gnnflow: {}; what lies on {} stays\n", at.error->message, at.name));
    for (const std::string& name : at.left) {
      console.err(fmt::format("host {}: {} is none of ours and stays\n", at.name, name));
    }
  }
}

// Hosts that the workflow has no more are reached as the last run reached them.
Status add_stored_hosts(Workflow& workflow, StoreReader& reader) {
  TRY(Workflow stored, stored_workflow(reader));
  for (HostEntry& host : stored.hosts) {
    if (!workflow.host(host.name)) workflow.hosts.push_back(std::move(host));
  }
  return {};
}

Result<Workflow> workflow_of(const CommandLine& line, const StatePlace& place) {
  TRY(StoreReader reader, StoreReader::open(place.folder));
  Result<Workflow> workflow = load_as_last_run(line, place);
  // To remove everything no step has to be known.
  if (!workflow && line.all && line.set.empty()) return stored_workflow(reader);
  TRY(Workflow loaded, std::move(workflow));
  TRY(add_stored_hosts(loaded, reader));
  return loaded;
}

}  // namespace

Result<int> gc_command(const CommandLine& line, const Console& console) {
  TRY(StatePlace place, find_state(line, console));
  TRY(Workflow workflow, workflow_of(line, place));
  StopSignal stop;
  stop_on_signals(stop);
  TRY(RunStore store, RunStore::open(place.folder));
  TRY(auto reachable, make_hosts(workflow, place.folder, store.store_id(), &stop));
  TRY(GcRows rows, read_rows(store, place.folder, workflow, line.keep));
  TRY(std::vector<HostTidy> hosts, hosts_to_tidy(store, rows, std::move(reachable)));
  const bool unfinished = std::any_of(rows.attempts.begin(), rows.attempts.end(), is_unfinished);
  // Jobs that go on meanwhile keep the lease that they had.
  const DaemonGreeting greeting{store.epoch(), store.store_id(),
                                unfinished ? workflow.lease : std::min(kLease, workflow.lease),
                                workflow.grace};
  Status done = Gc(store, rows, line, stop).run(hosts, greeting);
  if (!line.dry_run) remove_dead_links(place.folder / "results");
  tell(line, console, workflow, hosts);
  if (!done) return std::move(done).error();
  if (stop.raised()) return exit_code(stop.cause());
  for (const HostTidy& at : hosts) {
    if (at.error) return exit_code(at.error->cause);
  }
  return 0;
}

}  // namespace gnnflow
