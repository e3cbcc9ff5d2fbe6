// A controller in the background: started by fork, it says to whoever waits in the foreground how it began.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/result.h"
#include "orchestrator/cli/console.h"
#include "orchestrator/engine/run_observer.h"

namespace gnnflow {

// What the foreground hears: once, that the run has begun, or how it ended before anything was started.
class StartReport {
 public:
  explicit StartReport(FileDescriptor to) : to_(std::move(to)) {}
  void began(int64_t run);
  void ended(int64_t run, int exit_code, std::string_view text);
  void failed(const Error& error);

 private:
  void say(const Json& report);
  FileDescriptor to_;  // closed once it was said
};

// The view itself, and the report of the first that matters. `report` outlives it.
std::unique_ptr<RunObserver> reporting_view(std::unique_ptr<RunObserver> view, StartReport& report);

struct Detached {
  int pid = 0;
  int64_t run = 0;
  bool goes_on = false;  // else it has ended already:
  int exit_code = 0;
  std::string text;  // its result, or what went wrong
};

using BackgroundWork = std::function<Result<int>(const Console&, StartReport&)>;

// Forks. The child leaves the terminal, writes to `log`, does `work` with a console whose folder is `folder`,
// and ends; this process waits until the run has begun or ended. REQUIRES: this process has one thread;
// `work` takes the state's lock itself.
Result<Detached> detach(const fs::path& log, const fs::path& folder, const BackgroundWork& work);

}  // namespace gnnflow
