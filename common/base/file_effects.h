// Inside common/base: the few calls that make data durable, counted.
#pragma once

#include <span>

#include "common/base/file.h"

namespace gnnflow {

Status sync_descriptor(int descriptor, const fs::path& path);
Status rename_path(const fs::path& from, const fs::path& to);
Status write_all(int descriptor, std::span<const std::byte> bytes, const fs::path& path);
Result<FileDescriptor> open_file(const fs::path& path, int flags, int mode = 0);

}  // namespace gnnflow
