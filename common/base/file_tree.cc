// Folders and all that is below them: made, synced, measured, removed.
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>

#include "common/base/file.h"
#include "common/base/file_effects.h"
#include "common/base/stop_signal.h"

namespace gnnflow {
namespace {

// Calls `visit` for everything below `folder`; links are seen, never followed.
Status walk(const fs::path& folder, const std::function<Status(const fs::directory_entry&)>& visit) {
  std::error_code error;
  fs::recursive_directory_iterator entries(folder, error);
  while (!error && entries != fs::recursive_directory_iterator()) {
    TRY(visit(*entries));
    entries.increment(error);
  }
  if (error) return system_error("reading " + folder.string(), error.value());
  return {};
}

// Programs of users make folders that not even their owner may write: what is in them could not be unlinked.
void let_owner_in(const fs::path& top) {
  std::error_code ignored;
  if (fs::symlink_status(top, ignored).type() != fs::file_type::directory) return;
  fs::permissions(top, fs::perms::owner_all, fs::perm_options::add, ignored);
  fs::recursive_directory_iterator entries(top, ignored);
  while (!ignored && entries != fs::recursive_directory_iterator()) {
    std::error_code problem;
    if (entries->symlink_status(problem).type() == fs::file_type::directory)
      fs::permissions(entries->path(), fs::perms::owner_all, fs::perm_options::add, problem);
    entries.increment(ignored);
  }
}

}  // namespace

Status create_folders(const fs::path& path, int mode) {
  fs::path made;
  for (const fs::path& part : path) {
    made /= part;
    if (::mkdir(made.c_str(), static_cast<mode_t>(mode)) == 0) continue;
    int error_number = errno;
    struct stat info {};
    if (::stat(made.c_str(), &info) != 0)
      return system_error("making the folder " + made.string(), error_number);
    if (!S_ISDIR(info.st_mode)) return system_error("making the folder " + made.string(), ENOTDIR);
  }
  return {};
}

Status sync_tree(const fs::path& folder) { return sync_tree(folder, nullptr); }

Status sync_tree(const fs::path& folder, const StopSignal* stop) {
  TRY(walk(folder, [&](const fs::directory_entry& entry) -> Status {
    if (stop && stop->raised()) return Error{stop->cause(), "stopped while syncing " + folder.string()};
    std::error_code error;
    fs::file_type type = entry.symlink_status(error).type();
    if (error) return system_error("reading " + entry.path().string(), error.value());
    if (type == fs::file_type::directory) return sync_folder(entry.path());
    if (type != fs::file_type::regular) return {};
    TRY(FileDescriptor file, open_file(entry.path(), O_RDONLY | O_NOFOLLOW));
    return sync_descriptor(file.get(), entry.path());
  }));
  return sync_folder(folder);
}

Status remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error == std::errc::permission_denied) {
    let_owner_in(path);
    fs::remove_all(path, error);
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return system_error("removing " + path.string(), error.value());
  }
  return {};
}

Result<int64_t> bytes_of_tree(const fs::path& path) {
  std::error_code error;
  int64_t total = 0;
  if (fs::is_regular_file(fs::symlink_status(path, error))) {
    total = static_cast<int64_t>(fs::file_size(path, error));
    if (error) return system_error("reading " + path.string(), error.value());
    return total;
  }
  TRY(walk(path, [&](const fs::directory_entry& entry) -> Status {
    std::error_code problem;
    if (entry.symlink_status(problem).type() != fs::file_type::regular) return {};
    uintmax_t size = entry.file_size(problem);
    if (problem) return system_error("reading " + entry.path().string(), problem.value());
    total += static_cast<int64_t>(size);
    return {};
  }));
  return total;
}

Result<fs::path> make_temporary_folder(const fs::path& beside) {
  fs::path folder = beside.string() + ".tmp-" + random_hex(6);
  if (::mkdir(folder.c_str(), 0755) != 0) return system_error("making the folder " + folder.string(), errno);
  return folder;
}

}  // namespace gnnflow
