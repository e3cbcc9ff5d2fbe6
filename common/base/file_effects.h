// Inside common/base: the few calls that make data durable, counted, and that read it.
#pragma once

#include <span>

#include "common/base/file.h"

namespace gnnflow {

class StopSignal;

Status sync_descriptor(int descriptor, const fs::path& path);
Status sync_tree(const fs::path& folder, const StopSignal* stop);  // may be null; heard between files
Status rename_path(const fs::path& from, const fs::path& to);
Status write_all(int descriptor, std::span<const std::byte> bytes, const fs::path& path);
// `stop` may be null; between two pieces it is heard.
Status read_in_pieces(const fs::path& path, const std::function<void(std::span<const std::byte>)>& take,
                      const StopSignal* stop = nullptr);
Result<FileDescriptor> open_file(const fs::path& path, int flags, int mode = 0);

}  // namespace gnnflow
