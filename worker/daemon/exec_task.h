// An `exec` task: a program of the user's own, with its files staged, watched over to the end of everything
// it has started.
#pragma once

#include "common/base/result.h"
#include "common/base/stop_signal.h"
#include "common/wire/job_channel.h"

namespace gnnflow {

// Runs in the shim, on its main thread. Returns the program's exit code, or ends by the program's signal.
int run_exec_task(const Task& task);

// The parts of it.
struct ExecSpec {
  struct Stage {
    fs::path from, to;  // `to` is relative to files/
  };
  std::vector<Stage> stages;
  std::vector<std::string> command;
  std::map<std::string, std::string> environment;
  std::map<std::string, fs::path> outputs;  // name -> relative to files/
  static Result<ExecSpec> read(const Json& spec);
};
Status stage_files(const ExecSpec& spec, const fs::path& files, const StopSignal& stop);
// files/a/card.md declared as `card` becomes out/card/card.md; a folder likewise, under its own name. What
// lies behind a link is not ours to move: refused.
Status collect_outputs(const ExecSpec& spec, const fs::path& files, const fs::path& out,
                       std::string_view program);

}  // namespace gnnflow
