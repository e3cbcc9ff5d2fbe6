// Digests of files and folders of this machine, remembered while size, times and inode stay the same.
#pragma once

#include <string>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/result.h"
#include "common/base/stop_signal.h"
#include "orchestrator/store/past_results.h"

namespace gnnflow {

// The engine's thread only. `store` may be null: nothing is remembered.
class ContentDigests {
 public:
  ContentDigests(PastResults* store, const Clock& clock, const StopSignal* stop)
      : store_(store), clock_(clock), stop_(stop) {}

  // Of a file its bytes; of a folder the names and bytes of all files below it. `not_found` when there is
  // none.
  Result<std::string> of(const fs::path& path);

 private:
  Result<std::string> of_file(const fs::path& path);
  PastResults* store_;
  const Clock& clock_;
  const StopSignal* stop_;
};

}  // namespace gnnflow
