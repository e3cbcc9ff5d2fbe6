// The one layer through which files are written: atomic, synced, counted. Readers, mappings and locks too.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"

namespace gnnflow {

namespace fs = std::filesystem;

// Owns a descriptor.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int descriptor) : descriptor_(descriptor) {}
  FileDescriptor(FileDescriptor&& other) noexcept : descriptor_(other.release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor() { reset(); }

  int get() const { return descriptor_; }
  explicit operator bool() const { return descriptor_ >= 0; }
  int release() { return std::exchange(descriptor_, -1); }
  void reset();

 private:
  int descriptor_ = -1;
};

// How often data was made durable since the program began: tests count it.
struct FileCounters {
  int64_t syncs = 0;
  int64_t renames = 0;
};
FileCounters file_counters();

Result<std::string> read_file(const fs::path& path, int64_t limit = int64_t{1} << 30);
// At most `limit` bytes from `offset` on: fewer, or none, at the end.
Result<std::string> read_piece(const fs::path& path, int64_t offset, int64_t limit);
// Temporary file beside it, write, fsync, rename, fsync of the folder.
Status write_file_atomically(const fs::path& path, std::string_view content, int mode = 0644);
Status create_folders(const fs::path& path, int mode = 0755);
Status sync_folder(const fs::path& folder);
Status sync_tree(const fs::path& folder);                         // every file and folder below
Status rename_durably(const fs::path& from, const fs::path& to);  // rename, then fsync of both folders
Status remove_tree(const fs::path& path);                         // absent is fine; links are not followed
Result<int64_t> bytes_of_tree(const fs::path& path);
Result<fs::path> make_temporary_folder(const fs::path& beside);  // "<beside>.tmp-<random>", 0755
std::string random_hex(int bytes);                               // from the kernel

// Buffered sequential writing of a new file; every call after an error repeats it.
class FileWriter {
 public:
  static Result<FileWriter> create(const fs::path& path, int mode = 0644);
  FileWriter(FileWriter&&) noexcept;
  FileWriter& operator=(FileWriter&&) noexcept;
  ~FileWriter();

  Status write(std::span<const std::byte> bytes);
  Status write(std::string_view text) { return write(std::as_bytes(std::span(text))); }
  int64_t written() const { return written_; }
  Status finish();  // flush, fsync, close

 private:
  FileWriter(FileDescriptor file, fs::path path);
  Status flush();
  FileDescriptor file_;
  fs::path path_;
  Status keep(Status status);
  std::vector<std::byte> buffer_;
  int64_t written_ = 0;
  std::optional<Error> failed_;
};

// A file mapped shared and read-only. A SIGBUS or SIGSEGV inside it ends the program with 12 and
// "<file>: shrank or cannot be read" once install_mapping_fault_handler() was called; elsewhere signals stay
// what they are.
class Mapping {
 public:
  static Result<Mapping> open(const fs::path& path);
  Mapping() = default;
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();

  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};
void install_mapping_fault_handler();

// An exclusive F_OFD_SETLK on a file. The kernel frees it; there is nothing to unlock by hand.
class FileLock {
 public:
  // `locked` when another holds it. What is held is the file that has this name then: one that was replaced
  // or removed before it was locked would keep nobody out.
  static Result<FileLock> take(const fs::path& path);
  static Result<FileLock> take(const fs::path& path, Deadline deadline);    // tries until then
  static Result<FileLock> take(FileDescriptor file, const fs::path& path);  // of a file open for writing
  // Asks without taking (F_OFD_GETLK). An absent file is free.
  static Result<bool> is_held(const fs::path& path);
  FileLock(FileLock&&) noexcept = default;
  FileLock& operator=(FileLock&&) noexcept = default;
  int descriptor() const { return file_.get(); }

 private:
  explicit FileLock(FileDescriptor file) : file_(std::move(file)) {}
  FileDescriptor file_;
};

// Does a path stay below the folder that it is relative to? Only plain relative paths without "..", empty or
// "." parts do.
bool is_inside(const fs::path& relative);

}  // namespace gnnflow
