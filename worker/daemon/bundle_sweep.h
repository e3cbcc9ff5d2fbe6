// Programs that were sent to this machine and that nothing runs any more.
#pragma once

#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/result.h"
#include "common/base/stop_signal.h"

namespace gnnflow {

struct SweepWish {
  bool dry_run = false;  // only say what would go
  // Also what is young, and everything, this daemon's own program too, when no other store is in the
  // workspace.
  bool all = false;
  Milliseconds patience{10'000};  // with another controller that makes a bundle
};

struct SweptBundle {
  std::string path;   // below the workspace
  int64_t bytes = 0;  // that the disk has back
};

// Below <workspace>/bundles: bundles and receivers that no process of this user runs and that were made more
// than a day ago, and files that no bundle links to. Nothing while another controller sends programs or makes
// a bundle; `stop` ends the wait for that.
Result<std::vector<SweptBundle>> sweep_bundles(const fs::path& workspace, const std::string& store,
                                               const SweepWish& wish, const StopSignal& stop);

}  // namespace gnnflow
