// Which workflow and which state folder a command is about.
#pragma once

#include "common/base/file.h"
#include "common/base/result.h"
#include "orchestrator/cli/command_line.h"
#include "orchestrator/cli/console.h"
#include "orchestrator/store/store_reader.h"
#include "orchestrator/workflow/workflow.h"

namespace gnnflow {

struct StatePlace {
  fs::path file;    // the workflow; empty when only --state was given
  fs::path folder;  // holds gnnflow.db, once something ran
};

constexpr std::string_view kDatabaseName = "gnnflow.db";

// Of a workflow that was loaded.
StatePlace place_of_workflow(const CommandLine& line, const Console& console, const Workflow& workflow);

// FILE and --state as they were given, for a command that a person is told to write: " flow.yml --state s".
std::string place_words(const CommandLine& line);

// The file of the workflow whose state it is: as given, or as the state says.
Result<fs::path> workflow_file(const StatePlace& place, StoreReader& reader);

// With the parameters of the last run, but for what --set says now: so its hosts are where that run left
// things. Of a workflow that never ran with its defaults.
Result<Workflow> load_as_last_run(const CommandLine& line, const StatePlace& place);

// For commands that may go without FILE: then the only workflow in the current folder that has a state.
Result<StatePlace> find_state(const CommandLine& line, const Console& console);

}  // namespace gnnflow
