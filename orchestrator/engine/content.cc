// Digests of files and folders of this machine.
#include "orchestrator/engine/content.h"

#include <algorithm>
#include <cerrno>
#include <vector>

#include <sys/stat.h>

#include "common/base/digest.h"

namespace gnnflow {
namespace {

constexpr int64_t kYoungMilliseconds =
    2000;  // a file written this recently may change again within its time stamp

// Size, mtime, ctime and inode: unchanged means that the content is taken to be unchanged.
struct Stamp {
  std::string text;
  int64_t changed_ms = 0;
};

Result<Stamp> read_stamp(const fs::path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) return system_error("reading " + file.string(), errno);
  const auto time = [](const timespec& t) {
    return std::to_string(t.tv_sec) + "." + std::to_string(t.tv_nsec);
  };
  return Stamp{std::to_string(info.st_size) + " " + time(info.st_mtim) + " " + time(info.st_ctim) + " " +
                   std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino),
               std::max(info.st_mtim.tv_sec, info.st_ctim.tv_sec) * int64_t{1000}};
}

}  // namespace

Result<std::string> ContentDigests::of_file(const fs::path& path) {
  if (stop_ && stop_->raised()) return Error{stop_->cause(), "stopped while reading " + path.string()};
  TRY(auto stamp, read_stamp(path));
  if (store_) {
    TRY(auto known, store_->remembered_digest(path, stamp.text));
    if (known) return *known;
  }
  TRY(auto digest, digest_of_file(path, stop_));
  const bool young = clock_.unix_milliseconds() - stamp.changed_ms < kYoungMilliseconds;
  TRY(auto after, read_stamp(path));
  if (after.text != stamp.text)
    return Error{Cause::temporary, path.string() + " changed while it was read: run again"};
  if (store_ && !young) TRY(store_->remember_digest(path, stamp.text, digest));
  return digest;
}

Result<std::string> ContentDigests::of(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return of_file(path);
  std::vector<fs::path> files;
  for (auto at = fs::recursive_directory_iterator(path, error);
       !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    if (at->is_regular_file(error)) files.push_back(at->path());
  }
  if (error) return Error{Cause::failed, "reading folder " + path.string() + ": " + error.message()};
  std::sort(files.begin(), files.end());
  Digester digester;
  for (const fs::path& file : files) {
    TRY(auto digest, of_file(file));
    digester.add_field(file.lexically_relative(path).string());
    digester.add_field(digest);
  }
  return digester.text();
}

}  // namespace gnnflow
