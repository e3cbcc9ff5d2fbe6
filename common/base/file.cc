// Descriptors, whole files, sequential writing, locks.
#include "common/base/file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file_effects.h"
#include "common/base/text.h"

namespace gnnflow {
namespace {

constexpr size_t kWriteBuffer = 256 * 1024;

Status write_and_sync(const fs::path& path, std::string_view content, int mode) {
  TRY(FileDescriptor file, open_file(path, O_WRONLY | O_CREAT | O_EXCL, mode));
  TRY(write_all(file.get(), std::as_bytes(std::span(content)), path));
  return sync_descriptor(file.get(), path);
}

struct flock whole_file() {
  struct flock range;
  std::memset(&range, 0, sizeof range);  // l_pid must be 0
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  return range;
}

}  // namespace

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    reset();
    descriptor_ = other.release();
  }
  return *this;
}

void FileDescriptor::reset() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
}

Result<std::string> read_file(const fs::path& path, int64_t limit) {
  TRY(FileDescriptor file, open_file(path, O_RDONLY));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return system_error("reading " + path.string(), errno);
  // Files under /proc say 0 and have more: the size is only a hint.
  std::string content;
  size_t size = 0;
  size_t step = info.st_size > 0 && info.st_size < limit ? static_cast<size_t>(info.st_size) + 1 : 64 * 1024;
  while (true) {
    if (content.size() == size) content.resize(size + std::max(step, size / 2));
    ssize_t read = ::read(file.get(), content.data() + size, content.size() - size);
    if (read < 0 && errno == EINTR) continue;
    if (read < 0) return system_error("reading " + path.string(), errno);
    if (read == 0) break;
    size += static_cast<size_t>(read);
    if (static_cast<int64_t>(size) > limit) {
      return Error{Cause::bad_data,
                   fmt::format("{}: larger than the limit of {} bytes", path.string(), limit)};
    }
  }
  content.resize(size);
  return content;
}

Result<std::string> read_piece(const fs::path& path, int64_t offset, int64_t limit) {
  TRY(FileDescriptor file, open_file(path, O_RDONLY));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return system_error("reading " + path.string(), errno);
  std::string piece(static_cast<size_t>(std::clamp<int64_t>(info.st_size - offset, 0, limit)), '\0');
  size_t size = 0;
  while (size < piece.size()) {
    const ssize_t read = ::pread(file.get(), piece.data() + size, piece.size() - size,
                                 static_cast<off_t>(offset + static_cast<int64_t>(size)));
    if (read < 0 && errno == EINTR) continue;
    if (read < 0) return system_error("reading " + path.string(), errno);
    if (read == 0) break;
    size += static_cast<size_t>(read);
  }
  piece.resize(size);
  return piece;
}

Status write_file_atomically(const fs::path& path, std::string_view content, int mode) {
  fs::path temporary = path.string() + ".tmp-" + random_hex(6);
  Status status = write_and_sync(temporary, content, mode);
  if (status) status = rename_path(temporary, path);
  if (!status) {
    ::unlink(temporary.c_str());
    return status;
  }
  return sync_folder(path.parent_path());
}

Status sync_folder(const fs::path& folder) {
  fs::path real = folder.empty() ? fs::path(".") : folder;
  TRY(FileDescriptor file, open_file(real, O_RDONLY | O_DIRECTORY));
  return sync_descriptor(file.get(), real);
}

Status rename_durably(const fs::path& from, const fs::path& to) {
  TRY(rename_path(from, to));
  TRY(sync_folder(to.parent_path()));
  if (from.parent_path() == to.parent_path()) return {};
  return sync_folder(from.parent_path());
}

std::string random_hex(int bytes) {
  std::vector<std::byte> buffer(static_cast<size_t>(bytes));
  size_t filled = 0;
  while (filled < buffer.size()) {
    ssize_t size = ::getrandom(buffer.data() + filled, buffer.size() - filled, 0);
    if (size < 0 && errno != EINTR) bug("the kernel gives no random bytes");
    if (size > 0) filled += static_cast<size_t>(size);
  }
  return hex(buffer);
}

FileWriter::FileWriter(FileDescriptor file, fs::path path) : file_(std::move(file)), path_(std::move(path)) {
  buffer_.reserve(kWriteBuffer);
}
FileWriter::FileWriter(FileWriter&&) noexcept = default;
FileWriter& FileWriter::operator=(FileWriter&&) noexcept = default;
FileWriter::~FileWriter() = default;

Result<FileWriter> FileWriter::create(const fs::path& path, int mode) {
  TRY(FileDescriptor file, open_file(path, O_WRONLY | O_CREAT | O_EXCL, mode));
  return FileWriter(std::move(file), path);
}

Status FileWriter::keep(Status status) {
  if (!status) failed_ = status.error();
  return status;
}

Status FileWriter::flush() {
  Status status = write_all(file_.get(), buffer_, path_);
  buffer_.clear();
  return status;
}

Status FileWriter::write(std::span<const std::byte> bytes) {
  if (failed_) return *failed_;
  if (!file_) bug("a file is written after finish()");
  if (buffer_.size() + bytes.size() > kWriteBuffer) TRY(keep(flush()));
  if (bytes.size() >= kWriteBuffer) {
    TRY(keep(write_all(file_.get(), bytes, path_)));
  } else {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  }
  written_ += static_cast<int64_t>(bytes.size());
  return {};
}

Status FileWriter::finish() {
  if (failed_) return *failed_;
  TRY(keep(flush()));
  TRY(keep(sync_descriptor(file_.get(), path_)));
  // Network file systems tell some errors only here.
  if (::close(file_.release()) != 0) return keep(system_error("closing " + path_.string(), errno));
  return {};
}

Result<FileLock> FileLock::take(const fs::path& path) {
  while (true) {
    TRY(FileDescriptor file, open_file(path, O_RDWR | O_CREAT, 0600));
    TRY(FileLock lock, take(std::move(file), path));
    struct stat held {
    }, named{};
    if (::fstat(lock.descriptor(), &held) == 0 && ::stat(path.c_str(), &named) == 0 &&
        held.st_dev == named.st_dev && held.st_ino == named.st_ino)
      return lock;
  }
}

Result<FileLock> FileLock::take(const fs::path& path, Deadline deadline) {
  constexpr Milliseconds kBetweenTries{20};
  while (true) {
    Result<FileLock> lock = take(path);
    if (lock || lock.error().cause != Cause::locked || deadline.passed()) return lock;
    std::this_thread::sleep_for(kBetweenTries);
  }
}

Result<FileLock> FileLock::take(FileDescriptor file, const fs::path& path) {
  struct flock range = whole_file();
  if (::fcntl(file.get(), F_OFD_SETLK, &range) == 0) return FileLock(std::move(file));
  if (errno == EAGAIN || errno == EACCES) {
    return Error{Cause::locked, fmt::format("{}: locked by another process", path.string())};
  }
  return system_error("locking " + path.string(), errno);
}

Result<bool> FileLock::is_held(const fs::path& path) {
  Result<FileDescriptor> file = open_file(path, O_RDONLY);
  if (!file && file.error().cause == Cause::not_found) return false;
  if (!file) return std::move(file).error();
  struct flock range = whole_file();
  if (::fcntl(file->get(), F_OFD_GETLK, &range) != 0)
    return system_error("asking for the lock " + path.string(), errno);
  return range.l_type != F_UNLCK;
}

bool is_inside(const fs::path& relative) {
  const std::string& text = relative.native();
  if (text.find('\0') != std::string::npos) return false;
  for (const std::string& part : split(text, '/')) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return true;
}

}  // namespace gnnflow
