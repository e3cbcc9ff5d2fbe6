// `gnnflow-worker job`: what the daemon starts for every job. It ties itself to the daemon's life, waits for
// GO, and turns into the program, or stays above a program of the user's own.
#pragma once

#include <string>

#include "common/base/file.h"

namespace gnnflow {

struct ShimOptions {
  std::string token;
  std::string program;  // "worker", "trainer", "exec"
  std::string kind;
  fs::path task;   // tmp/<token>/task.json
  int parent = 0;  // the daemon's pid
};

// Returns only when there is nothing to turn into; then the exit code.
int shim_main(const ShimOptions& options);

}  // namespace gnnflow
