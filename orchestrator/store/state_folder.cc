// File systems whose locks or shared memory would betray SQLite.
#include "orchestrator/store/state_folder.h"

#include <array>
#include <cerrno>

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "common/base/text.h"

namespace gnnflow {
namespace {

constexpr uint64_t kFuse = 0x65735546;

struct NetworkFileSystem {
  uint64_t magic;
  std::string_view name;
};
constexpr std::array kByMagic = {
    NetworkFileSystem{0x6969, "NFS"},        NetworkFileSystem{0x517B, "SMB"},
    NetworkFileSystem{0xFF534D42, "CIFS"},   NetworkFileSystem{0xFE534D42, "SMB2"},
    NetworkFileSystem{0x0BD00BD0, "Lustre"}, NetworkFileSystem{0x00C36400, "Ceph"},
    NetworkFileSystem{0x47504653, "GPFS"},   NetworkFileSystem{0x5346414F, "AFS"},
    NetworkFileSystem{0x19830326, "BeeGFS"}, NetworkFileSystem{0x20030528, "OrangeFS"},
    NetworkFileSystem{0x7461636F, "OCFS2"},  NetworkFileSystem{0x01161970, "GFS2"},
    NetworkFileSystem{0xAAD7AAEA, "PanFS"},  NetworkFileSystem{0x73757245, "Coda"},
};
constexpr std::array<std::string_view, 7> kNetworkFuse = {"fuse.sshfs",  "fuse.glusterfs", "fuse.ceph-fuse",
                                                          "fuse.s3fs",   "fuse.rclone",    "fuse.davfs",
                                                          "fuse.juicefs"};

Result<fs::path> nearest_existing(const fs::path& folder) {
  fs::path at = fs::absolute(folder);
  std::error_code error;
  while (!fs::exists(at, error) && at.has_relative_path()) at = at.parent_path();
  return at;
}

}  // namespace

std::optional<std::string_view> network_file_system(uint64_t magic, std::string_view fuse_type) {
  for (const NetworkFileSystem& row : kByMagic) {
    if (row.magic == magic) return row.name;
  }
  if (magic != kFuse) return std::nullopt;
  for (std::string_view type : kNetworkFuse) {
    if (type == fuse_type) return type;
  }
  return std::nullopt;
}

// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw
std::string mounted_type(std::string_view mountinfo, std::string_view device) {
  std::string found;  // the last: what is mounted later lies over what was there
  for (const std::string& line : split(mountinfo, '\n')) {
    const std::vector<std::string> words = split(line, ' ');
    if (words.size() < 3 || words[2] != device) continue;
    for (size_t i = 6; i + 1 < words.size(); ++i) {
      if (words[i] == "-") {
        found = words[i + 1];
        break;
      }
    }
  }
  return found;
}

Status refuse_network_file_system(const fs::path& folder) {
  TRY(fs::path at, nearest_existing(folder));
  struct statfs file_system {};
  struct stat info {};
  if (::statfs(at.c_str(), &file_system) != 0 || ::stat(at.c_str(), &info) != 0) {
    return system_error("asking for the file system of " + at.string(), errno);
  }
  const auto magic = static_cast<uint64_t>(file_system.f_type) & 0xFFFFFFFF;
  std::string fuse_type;
  if (magic == kFuse) {
    TRY(std::string mounts, read_file("/proc/self/mountinfo"));
    fuse_type = mounted_type(mounts, fmt::format("{}:{}", major(info.st_dev), minor(info.st_dev)));
  }
  if (std::optional<std::string_view> name = network_file_system(magic, fuse_type)) {
    return Error{Cause::bad_state, fmt::format("{}: on a network file system ({}), where locks and SQLite "
                                               "are not safe; put the state on a local disk with --state DIR",
                                               folder.string(), *name)};
  }
  return {};
}

}  // namespace gnnflow
