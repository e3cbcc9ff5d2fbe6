// Parts, their locks, and how they become files.
#include "common/base/incoming.h"

#include <algorithm>
#include <cerrno>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/base/digest.h"
#include "common/base/file_effects.h"
#include "common/base/text.h"

namespace gnnflow {
namespace {

constexpr size_t kReadBytes = 1 << 20;
// So often the disk is asked to begin writing: the fsync at the end then finds little to do.
constexpr int64_t kWriteBehind = 8 << 20;
constexpr Milliseconds kBetweenTries{50};

// Which file a path leads to, and in which state it is.
struct Identity {
  dev_t device = 0;
  ino_t inode = 0;
  int64_t bytes = -1, changed = 0;
  bool operator==(const Identity&) const = default;
};

Identity identity_of_info(const struct stat& info) {
  return {info.st_dev, info.st_ino, info.st_size, info.st_ctim.tv_sec * 1'000'000'000 + info.st_ctim.tv_nsec};
}

Identity identity_at(const fs::path& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 ? identity_of_info(info) : Identity();
}

bool is_same_file(int descriptor, const fs::path& path) {
  struct stat ours {
  }, there{};
  return ::fstat(descriptor, &ours) == 0 && ::lstat(path.c_str(), &there) == 0 &&
         ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

mode_t with_execution(mode_t mode) { return mode | ((mode & 0444) >> 2); }

// A file that is there and right. One that can be run stays so: another list may want it.
Status allow_execution(const IncomingFile::Place& place) {
  struct stat info {};
  if (!place.executable || ::lstat(place.target.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return {};
  const mode_t wanted = with_execution(info.st_mode);
  if (wanted == info.st_mode) return {};
  TRY(const FileDescriptor file, open_file(place.target, O_RDONLY | O_NOFOLLOW));
  if (::fchmod(file.get(), wanted & 07777) != 0)
    return system_error("changing " + place.target.string(), errno);
  return sync_descriptor(file.get(), place.target);
}

Error with_free_space(Error error, const fs::path& path) {
  if (error.cause == Cause::no_resources) error.message += free_space_note(path);
  return error;
}

// The part, locked. Between opening and locking, whoever had it may have given it its name: then another one
// is opened.
Result<FileLock> lock_part(const fs::path& part) {
  while (true) {
    TRY(FileDescriptor file, open_file(part, O_RDWR | O_CREAT | O_NOFOLLOW, 0644));
    struct stat info {};
    if (::fstat(file.get(), &info) != 0) return system_error("reading " + part.string(), errno);
    if (!S_ISREG(info.st_mode)) return Error{Cause::bad_data, part.string() + ": not a plain file"};
    TRY(FileLock lock, FileLock::take(std::move(file), part));
    if (is_same_file(lock.descriptor(), part)) return lock;
  }
}

}  // namespace

struct IncomingFile::State {
  State(Place wanted, FileLock held) : place(std::move(wanted)), lock(std::move(held)) {}
  Place place;
  FileLock lock;
  int64_t size = 0, digested = 0, pushed = 0;
  Digester digester;
  bool published = false;

  Status empty();
  Status set_mode();
  Status digest_rest();
  void write_behind();
};

Status IncomingFile::State::empty() {
  if (::ftruncate(lock.descriptor(), 0) != 0) return system_error("emptying " + place.part.string(), errno);
  size = digested = pushed = 0;
  digester = Digester();
  return {};
}

Status IncomingFile::State::set_mode() {
  struct stat info {};
  if (::fstat(lock.descriptor(), &info) != 0) return system_error("reading " + place.part.string(), errno);
  const mode_t wanted = place.executable ? with_execution(info.st_mode) : info.st_mode & ~mode_t{0111};
  if (wanted == info.st_mode || ::fchmod(lock.descriptor(), wanted & 07777) == 0) return {};
  return system_error("changing " + place.part.string(), errno);
}

Status IncomingFile::State::digest_rest() {
  std::vector<std::byte> buffer(digested < size ? kReadBytes : 0);
  while (digested < size) {
    ssize_t got = ::pread(lock.descriptor(), buffer.data(), buffer.size(), digested);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("reading " + place.part.string(), errno);
    if (got == 0) return Error{Cause::bad_data, place.part.string() + ": was cut short meanwhile"};
    digester.add(std::span(buffer).first(static_cast<size_t>(got)));
    digested += got;
  }
  return {};
}

void IncomingFile::State::write_behind() {
  if (size - pushed < kWriteBehind) return;
  // Only a hint: what goes wrong here is told by the fsync.
  (void)::sync_file_range(lock.descriptor(), pushed, size - pushed, SYNC_FILE_RANGE_WRITE);
  pushed = size;
}

IncomingFile::IncomingFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
IncomingFile::IncomingFile(IncomingFile&&) noexcept = default;
IncomingFile& IncomingFile::operator=(IncomingFile&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

IncomingFile::~IncomingFile() {
  if (!state_ || state_->published || state_->size > 0) return;
  if (is_same_file(state_->lock.descriptor(), state_->place.part)) ::unlink(state_->place.part.c_str());
}

Result<std::optional<IncomingFile>> IncomingFile::begin(const Place& place) {
  const Identity before = identity_at(place.target);
  TRY(bool there, file_matches(place.target, place.bytes, place.digest));
  if (there) {
    TRY(allow_execution(place));
    return std::optional<IncomingFile>();
  }
  TRY(FileLock lock, lock_part(place.part));
  IncomingFile file(std::make_unique<State>(place, std::move(lock)));
  State& state = *file.state_;
  struct stat info {};
  if (::fstat(state.lock.descriptor(), &info) != 0)
    return system_error("reading " + place.part.string(), errno);
  state.size = info.st_size;
  // Whoever held the lock until now may have finished.
  if (identity_at(place.target) != before) {
    TRY(there, file_matches(place.target, place.bytes, place.digest));
  }
  if (there || state.size > place.bytes) TRY(state.empty());
  if (there) {
    TRY(allow_execution(place));
    return std::optional<IncomingFile>();
  }
  return std::optional<IncomingFile>(std::move(file));
}

Result<std::optional<IncomingFile>> IncomingFile::begin_when_free(const Place& place, Deadline patience,
                                                                  const std::function<Status()>& waiting) {
  while (true) {
    // Again each time: whoever ends removes the folder when nothing is in it.
    TRY(create_folders(place.part.parent_path()));
    Result<std::optional<IncomingFile>> begun = begin(place);
    const bool is_held = !begun && begun.error().cause == Cause::locked;
    const bool folder_went = !begun && begun.error().cause == Cause::not_found;
    if ((!is_held && !folder_went) || (folder_went && patience.passed())) return begun;
    if (patience.passed()) {
      return Error{Cause::temporary,
                   fmt::format("{}: another controller is sending it and has not come to an end",
                               place.target.string())};
    }
    TRY(waiting());
    std::this_thread::sleep_for(std::min(kBetweenTries, patience.left()));
  }
}

const IncomingFile::Place& IncomingFile::place() const { return state_->place; }
int64_t IncomingFile::size() const { return state_->size; }

Status IncomingFile::write(std::span<const std::byte> bytes) {
  State& state = *state_;
  if (state.size + static_cast<int64_t>(bytes.size()) > state.place.bytes) {
    return Error{Cause::bad_data, fmt::format("{}: more came than its {} bytes", state.place.target.string(),
                                              state.place.bytes)};
  }
  TRY(state.digest_rest());
  if (::lseek(state.lock.descriptor(), state.size, SEEK_SET) < 0)
    return system_error("writing " + state.place.part.string(), errno);
  if (Status written = write_all(state.lock.descriptor(), bytes, state.place.part); !written) {
    struct stat info {};
    if (::fstat(state.lock.descriptor(), &info) == 0) state.size = info.st_size;  // what found room stays
    return with_free_space(std::move(written).error(), state.place.part);
  }
  state.digester.add(bytes);
  state.size += static_cast<int64_t>(bytes.size());
  state.digested = state.size;
  state.write_behind();
  return {};
}

Result<std::string> IncomingFile::digest() {
  TRY(state_->digest_rest());
  return state_->digester.text();
}

Status IncomingFile::clear() { return state_->empty(); }

Status IncomingFile::publish() {
  State& state = *state_;
  const auto work = [&]() -> Status {
    TRY(state.set_mode());
    TRY(sync_descriptor(state.lock.descriptor(), state.place.part));
    TRY(create_folders(state.place.target.parent_path()));
    // Who cleans up may have taken it away, and another process begun one of the same name, which is not
    // whole.
    if (!is_same_file(state.lock.descriptor(), state.place.part))
      return Error{Cause::temporary, state.place.part.string() + ": was taken away while it was written"};
    return rename_path(state.place.part, state.place.target);
  };
  if (Status done = work(); !done) return with_free_space(std::move(done).error(), state.place.part);
  state.published = true;
  return {};
}

Result<int64_t> free_bytes_at(const fs::path& path) {
  fs::path at = path;
  struct statvfs info {};
  while (::statvfs(at.c_str(), &info) != 0) {
    if (errno != ENOENT || !at.has_relative_path()) return system_error("looking at " + at.string(), errno);
    at = at.parent_path();
  }
  return static_cast<int64_t>(info.f_bavail) * static_cast<int64_t>(info.f_frsize);
}

std::string free_space_note(const fs::path& path) {
  Result<int64_t> bytes = free_bytes_at(path);
  return bytes ? fmt::format("; {} are free there", format_bytes(static_cast<double>(*bytes)))
               : std::string();
}

Result<fs::path> path_below(const fs::path& root, const fs::path& relative) {
  if (!is_inside(relative)) {
    return Error{Cause::bad_data,
                 fmt::format("'{}' is not a plain path below {}", relative.string(), root.string())};
  }
  fs::path at = root;
  std::error_code error;
  for (const fs::path& part : relative) {
    at /= part;
    if (fs::symlink_status(at, error).type() == fs::file_type::symlink) {
      return Error{Cause::bad_data,
                   fmt::format("{} is a link; below {} none is followed", at.string(), root.string())};
    }
  }
  return at;
}

Result<bool> file_matches(const fs::path& path, int64_t bytes, std::string_view digest) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return false;
    return system_error("looking at " + path.string(), errno);
  }
  if (!S_ISREG(info.st_mode) || info.st_size != bytes) return false;
  if (digest.empty()) return true;
  TRY(std::string found, digest_of_file(path));
  return found == digest;
}

}  // namespace gnnflow
