//   <root>/lock             held while one of us looks or links
//   <root>/verified.json    digest -> size, times and inode of the file when its content was found right
//   <root>/files/<digest>   each file once, for all bundles
//   <root>/<digest>/bin, lib   links to them
#include "worker/receive/bundle_folder.h"

#include <cerrno>
#include <map>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/incoming.h"
#include "common/base/text.h"
#include "worker/receive/wanted.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kLockWait{60'000};
constexpr mode_t kMode = 0755;

// Linking takes moments, reading all files anew some seconds.
Result<FileLock> take_lock(const fs::path& path) {
  Result<FileLock> lock = FileLock::take(path, Deadline::after(kLockWait));
  if (lock || lock.error().cause != Cause::locked) return lock;
  return Error{Cause::temporary, path.string() + ": another controller holds it for a minute"};
}

std::string identity_of(const struct stat& info) {
  return fmt::format("{} {}.{} {}.{} {}", info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec,
                     info.st_ctim.tv_sec, info.st_ctim.tv_nsec, info.st_ino);
}

class BundleFolder {
 public:
  static Result<BundleFolder> open(const Json& request);
  Result<std::vector<std::string>> missing();
  Status make();
  Status save() const;

 private:
  BundleFolder(fs::path root, FileLock lock) : root_(std::move(root)), lock_(std::move(lock)) {}
  void read_verified();
  fs::path file_of(const WantedFile& file) const { return root_ / "files" / file.digest; }
  Result<bool> is_right(const WantedFile& file);
  Status link_all(const fs::path& folder) const;
  Status link_one(const WantedFile& file, const fs::path& folder) const;

  fs::path root_;
  FileLock lock_;
  std::string digest_;
  std::vector<WantedFile> files_;
  std::map<std::string, std::string> verified_;  // digest -> identity
  bool changed_ = false;
};

Result<BundleFolder> BundleFolder::open(const Json& request) {
  TRY(fs::path root, root_of(request));
  const std::string digest = request.text_or("digest", "");
  if (!is_digest(digest))
    return Error{Cause::bad_data, fmt::format("'{}' is not the digest of a bundle", digest)};
  TRY(std::vector<WantedFile> files, files_of(request, ""));
  for (const WantedFile& file : files) {
    const std::vector<std::string> parts = split(file.path, '/');
    if (parts.size() != 2 || (parts[0] != "bin" && parts[0] != "lib"))
      return Error{Cause::bad_data, fmt::format("'{}' is no name in a bundle", file.path)};
  }
  Result<FileLock> lock = Error{};
  do {
    TRY(create_folders(root / "files"));
    TRY(path_below(root, "files"));
    lock = take_lock(root / "lock");
  } while (!lock && lock.error().cause == Cause::not_found);  // taken away meanwhile, the lock with it
  if (!lock) return lock.error();
  BundleFolder folder(root, std::move(*lock));
  folder.digest_ = digest;
  folder.files_ = std::move(files);
  folder.read_verified();
  return folder;
}

// It only saves time: what cannot be read is as if it were not there.
void BundleFolder::read_verified() {
  Result<std::string> text = read_file(root_ / "verified.json");
  Result<Json> json = text ? Json::parse(*text) : Result<Json>(text.error());
  if (!json || !json->is_object()) return;
  for (const auto& [digest, identity] : json->object()) {
    if (identity.is_string()) verified_[digest] = identity.string();
  }
}

Status BundleFolder::save() const {
  if (!changed_) return {};
  Json json{Json::Object()};
  for (const auto& [digest, identity] : verified_) json[digest] = identity;
  return write_file_atomically(root_ / "verified.json", json.dump());
}

Result<bool> BundleFolder::is_right(const WantedFile& file) {
  const fs::path path = file_of(file);
  struct stat info {};
  const bool there = ::lstat(path.c_str(), &info) == 0;
  auto known = verified_.find(file.digest);
  if (there && known != verified_.end() && known->second == identity_of(info)) return true;
  TRY(bool right, file_matches(path, file.bytes, file.digest));
  if (right) {
    verified_[file.digest] = identity_of(info);
  } else {
    verified_.erase(file.digest);
  }
  changed_ = true;
  return right;
}

Result<std::vector<std::string>> BundleFolder::missing() {
  std::vector<std::string> digests;
  for (const WantedFile& file : files_) {
    TRY(bool right, is_right(file));
    if (!right) digests.push_back(file.digest);
  }
  return digests;
}

// A link to a file that was damaged is one to another inode than that which came in its place.
Status BundleFolder::link_one(const WantedFile& file, const fs::path& folder) const {
  const fs::path from = file_of(file), to = folder / file.path, fresh = to.string() + ".new";
  struct stat wanted {
  }, there{};
  if (::stat(from.c_str(), &wanted) != 0) return system_error("reading " + from.string(), errno);
  if (::lstat(to.c_str(), &there) == 0 && there.st_ino == wanted.st_ino && there.st_dev == wanted.st_dev)
    return {};
  if ((wanted.st_mode & 0777) != kMode && ::chmod(from.c_str(), kMode) != 0)
    return system_error("changing " + from.string(), errno);
  ::unlink(fresh.c_str());
  if (::link(from.c_str(), fresh.c_str()) != 0)
    return system_error(fmt::format("linking {} to {}", from.string(), to.string()), errno);
  return rename_durably(fresh, to);
}

Status BundleFolder::link_all(const fs::path& folder) const {
  TRY(create_folders(folder / "bin"));
  TRY(create_folders(folder / "lib"));
  for (const WantedFile& file : files_) TRY(link_one(file, folder));
  return {};
}

Status BundleFolder::make() {
  TRY(std::vector<std::string> missing, this->missing());
  if (!missing.empty())
    return Error{Cause::bad_data,
                 fmt::format("{}: it is missing or damaged", (root_ / "files" / missing[0]).string())};
  TRY(fs::path folder, path_below(root_, digest_));
  struct stat info {};
  if (::lstat(folder.c_str(), &info) == 0) {
    TRY(link_all(folder));
  } else {
    const fs::path fresh = folder.string() + ".tmp";  // we hold the lock
    TRY(remove_tree(fresh));
    TRY(link_all(fresh));
    TRY(rename_durably(fresh, folder));
  }
  // When it was last wanted: who cleans up leaves young ones.
  (void)::utimensat(AT_FDCWD, folder.c_str(), nullptr, 0);
  // A new link is a change that the file's times tell.
  for (const WantedFile& file : files_) {
    if (::lstat(file_of(file).c_str(), &info) != 0)
      return system_error("reading " + file_of(file).string(), errno);
    std::string& known = verified_[file.digest];
    if (known == identity_of(info)) continue;
    known = identity_of(info);
    changed_ = true;
  }
  return {};
}

}  // namespace

Result<Json> look_at_bundle(const Json& request) {
  TRY(BundleFolder folder, BundleFolder::open(request));
  Json answer{Json::Object()};
  if (request.boolean_or("make", false)) {
    TRY(folder.make());
  } else {
    TRY(std::vector<std::string> missing, folder.missing());
    answer["missing"] = Json::Array(missing.begin(), missing.end());
  }
  TRY(folder.save());
  return answer;
}

}  // namespace gnnflow
