// Leaving the terminal: double fork and setsid, while the launcher waits to say how the start went.
#pragma once

#include <string>

#include "common/base/file.h"
#include "common/base/result.h"

namespace gnnflow {

// Told once by the daemon. In the foreground it tells nobody.
class StartReport {
 public:
  StartReport() = default;
  explicit StartReport(FileDescriptor pipe) : pipe_(std::move(pipe)) {}
  void up();
  void failed(const Error& error);

 private:
  FileDescriptor pipe_;
};

// Returns in the daemon alone. The launcher ends here: with 0 when the daemon is up, else with its error's
// code, said on stderr. Afterwards the folder is `/`, stdin is /dev/null, stdout and stderr are appended to
// `log`, and no other descriptor is open. REQUIRES: no other thread, no lock held (a fork shares it).
StartReport go_to_background(const fs::path& log);

}  // namespace gnnflow
