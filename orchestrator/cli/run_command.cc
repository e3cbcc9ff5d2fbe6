// `gnnflow run`: workflow, state, hosts and view are put together; the engine does the rest.
#include <fmt/format.h>
#include <unistd.h>

#include "common/base/child_process.h"
#include "common/base/digest.h"
#include "orchestrator/cli/colour.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/hosts.h"
#include "orchestrator/cli/state_place.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/steps/step_kinds.h"
#include "orchestrator/view/terminal.h"

namespace gnnflow {
namespace {

// Events are data. All else is talk, live where a terminal shows it.
std::unique_ptr<RunObserver> make_view(const CommandLine& line, const Console& console) {
  ViewSetup setup;
  setup.talk = console.err;
  setup.data = console.out;
  setup.colour = wants_colour(line.colour, console.err_is_terminal);
  setup.size = [] { return terminal_size(STDERR_FILENO); };
  if (line.json) return make_json_view(std::move(setup));
  return console.err_is_terminal ? make_live_view(std::move(setup)) : make_plain_view(std::move(setup));
}

}  // namespace

Result<int> run_command(const CommandLine& line, const Console& console) {
  fs::path file = line.file.is_absolute() ? line.file : console.folder / line.file;
  TRY(std::string digest, digest_of_file(file));
  TRY(Workflow workflow, load_workflow(line.file, {line.set, kind_schemas()}));
  StatePlace place = place_of_workflow(line, console, workflow);
  for (const HostEntry& host : workflow.hosts) {  // before anything is done, not when the host's turn comes
    if (host.address != "local") return unreachable_host(host.name, host.address);
  }
  StopSignal stop;
  stop_on_signals(stop);
  TRY(RunStore store, RunStore::open(place.folder));
  TRY(auto hosts, make_hosts(workflow, place.folder, store.store_id()));
  std::unique_ptr<RunObserver> view = make_view(line, console);

  EngineSetup setup;
  setup.workflow = &workflow;
  setup.kinds = &step_kinds();
  setup.store = &store;
  setup.hosts = std::move(hosts);
  setup.observer = view.get();
  setup.stop = &stop;
  setup.workflow_digest = digest;
  setup.worker = program_beside("gnnflow-worker");
  return run_workflow(std::move(setup));
}

}  // namespace gnnflow
