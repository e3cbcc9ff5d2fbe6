// From the wish to the engine.
#include "orchestrator/cli/controller.h"

#include <fmt/format.h>
#include <unistd.h>

#include "common/base/child_process.h"
#include "common/base/digest.h"
#include "orchestrator/cli/colour.h"
#include "orchestrator/cli/detach.h"
#include "orchestrator/cli/hosts.h"
#include "orchestrator/cli/stored_hosts.h"
#include "orchestrator/steps/step_kinds.h"
#include "orchestrator/store/state_folder.h"
#include "orchestrator/view/terminal.h"

namespace gnnflow {
namespace {

// Events are data. All else is talk, live where a terminal shows it.
std::unique_ptr<RunObserver> make_view(const Workflow& workflow, const CommandLine& line,
                                       const Console& console) {
  ViewSetup setup;
  setup.talk = console.err;
  setup.data = console.out;
  setup.workflow = workflow.name;
  setup.colour = wants_colour(line.colour, console.err_is_terminal);
  setup.size = [] { return terminal_size(STDERR_FILENO); };
  if (line.json) return make_json_view(std::move(setup));
  return console.err_is_terminal ? make_live_view(std::move(setup)) : make_plain_view(std::move(setup));
}

StoreOwner owner_of(const Workflow& workflow) {
  return {workflow.name, workflow.file, workflow.lease, workflow.grace};
}

HostEntries entries_of(const Workflow& workflow) {
  HostEntries entries;
  for (const HostEntry& host : workflow.hosts) entries[host.name] = entry_to_json(host);
  return entries;
}

// The parts of an engine that live as long as it does.
struct Controller {
  StopSignal stop;
  std::optional<RunStore> store;
  std::unique_ptr<RunObserver> view;

  Result<EngineSetup> set_up(const Workflow& workflow, const fs::path& state, const StoreOwner& owner);
};

Result<EngineSetup> Controller::set_up(const Workflow& workflow, const fs::path& state,
                                       const StoreOwner& owner) {
  stop_on_signals(stop);
  TRY(store, RunStore::open(state, owner, entries_of(workflow)));
  EngineSetup setup;
  TRY(setup.hosts, make_hosts(workflow, state, store->store_id(), &stop));
  setup.workflow = &workflow;
  setup.kinds = &step_kinds();
  setup.store = &*store;
  setup.observer = view.get();
  setup.stop = &stop;
  setup.worker = program_beside("gnnflow-worker");
  return setup;
}

Result<int> run_here(const RunWish& wish, std::unique_ptr<RunObserver> view) {
  Controller controller;
  controller.view = std::move(view);
  TRY(EngineSetup setup, controller.set_up(wish.workflow, wish.place.folder, owner_of(wish.workflow)));
  setup.command = wish.command;
  setup.only = wish.only;
  setup.workflow_digest = wish.digest;
  return run_workflow(std::move(setup));
}

Result<int> run_detached(const RunWish& wish, const CommandLine& line, const Console& console) {
  TRY(refuse_network_file_system(wish.place.folder));
  TRY(create_folders(wish.place.folder));
  const fs::path log = wish.place.folder / "controller.log";
  const auto work = [&](const Console& background, StartReport& report) {
    return run_here(wish, reporting_view(make_view(wish.workflow, line, background), report));
  };
  TRY(Detached detached, detach(log, console.folder, work));
  if (detached.goes_on) {
    const std::string words = place_words(line);
    console.out(
        fmt::format("run {} of {} goes on in the background (process {})\n"
                    "  watch it: gnnflow status --watch{}\n"
                    "  end it:   gnnflow stop{}\n"
                    "  its log:  {}\n",
                    detached.run, wish.workflow.name, detached.pid, words, words, log.string()));
    return 0;
  }
  if (detached.exit_code == 0) {
    console.out(detached.text + "\n");
  } else {
    console.err(fmt::format("gnnflow: {}\n", detached.text));
  }
  return detached.exit_code;
}

}  // namespace

Result<RunWish> load_wish(const CommandLine& line, const Console& console, const fs::path& file,
                          const Json& params) {
  RunWish wish;
  wish.command = line.command;
  wish.only = line.steps;
  TRY(wish.digest, digest_of_file(file.is_absolute() ? file : console.folder / file));
  TRY(wish.workflow, load_workflow(file, {line.set, kind_schemas(), params}));
  wish.place = place_of_workflow(line, console, wish.workflow);
  return wish;
}

Result<int> carry_out(const RunWish& wish, const CommandLine& line, const Console& console) {
  return line.detach ? run_detached(wish, line, console)
                     : run_here(wish, make_view(wish.workflow, line, console));
}

void tell_end(const RunWish& wish, const CommandLine& line, const Console& console, std::string_view text) {
  make_view(wish.workflow, line, console)->run_ended(0, text);
}

Result<int> end_leftovers(const Workflow& workflow, const fs::path& state, const CommandLine& line,
                          const Console& console) {
  Controller controller;
  controller.view = make_view(workflow, line, console);
  TRY(EngineSetup setup, controller.set_up(workflow, state, {}));
  return stop_leftovers(std::move(setup));
}

}  // namespace gnnflow
