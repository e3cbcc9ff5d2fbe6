// Our programs with everything that they need to run on a machine that has none of it: shared libraries and
// the loader.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/file.h"
#include "common/base/result.h"
#include "common/base/stop_signal.h"
#include "orchestrator/remote/far_files.h"
#include "orchestrator/remote/host.h"

namespace gnnflow {

struct BundleFile {
  std::string name;  // "bin/gnnflow-worker", "lib/libzmq.so.5"
  fs::path source;   // here
  int64_t bytes = 0;
  std::string digest;
};

// A plain value. The same files give the same digest, wherever they lie.
struct Bundle {
  std::string digest;
  std::string machine;  // it runs on no other, e.g. "x86_64"
  std::vector<BundleFile> files;
  int64_t bytes() const;
};

// Asks the loader of each program what it would load, as ldd does, and adds what our programs open by name
// while they run. A library that is missing here is `not_found` and named.
Result<Bundle> make_bundle(const std::vector<fs::path>& programs);

// `unfit` when that machine cannot run the bundle: another processor, or a kernel that is too old.
Status check_fits(const Bundle& bundle, const FarGreeting& machine);

struct PreparedBundle {
  fs::path folder;         // there: <workspace>/bundles/<digest>
  int64_t files_sent = 0;  // 0: all of them were there
  int64_t bytes_sent = 0;
};

// Brings what is missing or damaged to <workspace>/bundles/files/ and links the bundle's folder out of it.
// Each file was checked there: by its content the first time and whenever its size, times or inode are not
// those of that time. `progress` counts the bytes that are sent. Nothing is sent once `stop` is raised.
// REQUIRES: `workspace` is absolute.
Result<PreparedBundle> prepare_bundle(FarFiles& far, const Bundle& bundle, const fs::path& workspace,
                                      const TransferProgress& progress, const StopSignal& stop);

// The words that start a program out of a prepared bundle, for a login shell of any kind: `env
// GNNFLOW_BUNDLE=… …/lib/ld-linux-x86-64.so.2 --library-path …/lib …/bin/gnnflow-worker`.
std::vector<std::string> bundle_command(const fs::path& folder, std::string_view program);

}  // namespace gnnflow
