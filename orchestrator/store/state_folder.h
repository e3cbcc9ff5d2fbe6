// The folder of a workflow's state: what is where in it, who holds it, and whether its file system can be
// trusted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/file.h"
#include "common/base/result.h"

namespace gnnflow {

struct StateFolder {
  fs::path folder;
  fs::path database() const { return folder / "gnnflow.db"; }
  fs::path lock() const { return folder / "lock"; }
};

// By the number that statfs gives; for FUSE by the type that mountinfo gives ("fuse.sshfs").
std::optional<std::string_view> network_file_system(uint64_t magic, std::string_view fuse_type);
// The type of the mount with this device in the text of /proc/self/mountinfo; empty when there is none.
std::string mounted_type(std::string_view mountinfo, std::string_view device);
// `bad_state` when the folder, or what of its path is there, lies on a network file system.
Status refuse_network_file_system(const fs::path& folder);

}  // namespace gnnflow
