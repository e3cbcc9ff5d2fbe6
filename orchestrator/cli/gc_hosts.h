// The hosts of a store while gc looks at them and tidies them: all at once, none waits for another.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/stop_signal.h"
#include "orchestrator/cli/gc_plan.h"
#include "orchestrator/remote/daemon_link.h"
#include "orchestrator/remote/host.h"

namespace gnnflow {

struct HostTidy {
  std::string name;
  std::unique_ptr<Host> host;
  bool reached_before = true;  // by a run: else at most programs of ours are there
  std::unique_ptr<DaemonLink> link = nullptr;
  std::string passed_over = {};          // why nothing is done there, and that is no error; "never used"
  std::vector<StoredThing> doomed = {};  // what goes, would go, or has gone
  std::vector<std::string> left = {};    // found in the store's folder, and none of ours
  bool leave_running = false;            // jobs that have not ended are at work there
  std::optional<Error> error = {};       // the first; nothing more is done there but to leave
};

// Calls `work` for every host that is not passed over and has no error, all at once. An error ends the host.
void on_all(std::vector<HostTidy>& hosts, const std::function<Status(HostTidy&)>& work);

// Reaches its daemon, which is started when none is there, and asks what lies there.
Result<std::vector<StoredThing>> look_at(HostTidy& at, const DaemonGreeting& greeting, const GcPlan& plan);
// Programs that nobody runs there any more: adds them to what is doomed, or removes them. `all`: also those
// that this daemon runs, when no other store needs them.
enum class Programs { look, remove };
Status sweep_programs(HostTidy& at, Programs what, bool all);
// Ends the jobs there: `strangers` are those that are of no unfinished attempt.
enum class Jobs { strangers, all };
Status end_jobs(HostTidy& at, const GcPlan& plan, Jobs which);
Status remove_doomed(HostTidy& at, const StopSignal& stop);  // all but programs
// Everything of this store goes, and its daemon with it.
Status forget(HostTidy& at);
// Every daemon that was reached ends, but where jobs are at work that have not ended.
void leave_all(std::vector<HostTidy>& hosts);

}  // namespace gnnflow
