// fsync, rename, write and open, with errors that name the file.
#include "common/base/file_effects.h"

#include <atomic>
#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <unistd.h>

#include "common/base/stop_signal.h"

namespace gnnflow {
namespace {

std::atomic<int64_t> g_syncs = 0;
std::atomic<int64_t> g_renames = 0;

}  // namespace

FileCounters file_counters() { return {.syncs = g_syncs.load(), .renames = g_renames.load()}; }

Status sync_descriptor(int descriptor, const fs::path& path) {
  g_syncs.fetch_add(1, std::memory_order_relaxed);
  if (::fsync(descriptor) != 0) return system_error("syncing " + path.string(), errno);
  return {};
}

Status rename_path(const fs::path& from, const fs::path& to) {
  g_renames.fetch_add(1, std::memory_order_relaxed);
  if (std::rename(from.c_str(), to.c_str()) != 0) {
    return system_error("renaming " + from.string() + " to " + to.string(), errno);
  }
  return {};
}

Status write_all(int descriptor, std::span<const std::byte> bytes, const fs::path& path) {
  while (!bytes.empty()) {
    ssize_t size = ::write(descriptor, bytes.data(), bytes.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return system_error("writing " + path.string(), errno);
    bytes = bytes.subspan(static_cast<size_t>(size));
  }
  return {};
}

Status read_in_pieces(const fs::path& path, const std::function<void(std::span<const std::byte>)>& take,
                      const StopSignal* stop) {
  TRY(FileDescriptor file, open_file(path, O_RDONLY));
  std::vector<std::byte> buffer(1 << 20);
  while (true) {
    if (stop && stop->raised()) return Error{stop->cause(), "stopped while reading " + path.string()};
    ssize_t size = ::read(file.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return system_error("reading " + path.string(), errno);
    if (size == 0) return {};
    take(std::span(buffer).first(static_cast<size_t>(size)));
  }
}

Result<FileDescriptor> open_file(const fs::path& path, int flags, int mode) {
  int descriptor = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  if (descriptor < 0) return system_error("opening " + path.string(), errno);
  return FileDescriptor(descriptor);
}

}  // namespace gnnflow
