// A workflow as loaded: typed, checked, references found but not yet resolved to paths.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/result.h"
#include "orchestrator/workflow/schema.h"

namespace gnnflow {

constexpr std::string_view kController = "controller";  // reserved host name: this machine, the state folder

struct HostEntry {
  std::string name;
  std::string address = "local";
  std::string user, identity, workspace, data_address;  // empty: not said
  int port = 0;
};

// A reference inside options: "${steps.graph}" or "${steps.model.best}".
struct StepReference {
  std::string step, output;  // output "" is the step's first
  std::string option;        // where it stands: "graph", "command[2]"
};

struct StepEntry {
  std::string name, kind;
  Json options;  // ${params.x} and ${env.X} filled in, types and defaults as the schema says; ${steps...}
                 // still text
  std::vector<StepReference> references;
  std::vector<std::string> needs;  // names, in file order: references, `needs`, or the step before
  int retries = 0, lost_retries = 2;
  Milliseconds timeout{0};  // 0: none
  int line = 0, column = 0;
};

struct Workflow {
  fs::path file;  // absolute
  std::string name;
  Json params;                   // after --set
  std::vector<HostEntry> hosts;  // `controller` is not in it
  std::vector<StepEntry>
      steps;  // in a topological order of `needs`, in file order where that leaves a choice
  Milliseconds lease{600'000}, grace{10'000};
  int64_t checkpoint_copy = int64_t{1} << 30;  // bytes; 0: checkpoints are not copied to the controller
  const StepEntry* step(std::string_view name) const;
  const HostEntry* host(std::string_view name) const;
};

struct LoadOptions {
  std::vector<std::string> set;  // "epochs=3"
  std::vector<KindSchema> kinds;
  // Of an earlier run, before `set`: a map. One that the file no longer has, or gives another type, is left out.
  Json params = {};
};

// All errors of the file in one pass, each `file:line:column: message`, the line, a caret, help; cause
// bad_workflow. What is wrong in `set` is bad_usage, a file that is not there not_found.
Result<Workflow> load_workflow(const fs::path& file, const LoadOptions& options);

// The name alone, whatever else is wrong with the file: enough to find its state.
Result<std::string> read_workflow_name(const fs::path& file);

}  // namespace gnnflow
