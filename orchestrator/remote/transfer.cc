// Local file movement: real copies, never links.
#include "orchestrator/remote/transfer.h"

#include <algorithm>
#include <cerrno>
#include <set>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/digest.h"

namespace gnnflow {
namespace {

constexpr size_t kChunk = 1 << 20;
constexpr size_t kDigestLength = 32;

bool is_digest(std::string_view text) {
  return text.size() == kDigestLength && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Error changed(const fs::path& path, const std::string& how) {
  return {Cause::bad_data,
          fmt::format("{}: {}; it was changed or cut short since its digest was taken", path.string(), how)};
}

Result<FileDescriptor> open_to_read(const fs::path& path, int flags = 0) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags));
  if (!file) return system_error("opening " + path.string(), errno);
  return file;
}

Result<int64_t> size_of(const FileDescriptor& file, const fs::path& path) {
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return system_error("reading " + path.string(), errno);
  if (!S_ISREG(info.st_mode)) return Error{Cause::bad_data, path.string() + ": not a plain file"};
  return int64_t{info.st_size};
}

// One file on its way.
class Copy {
 public:
  Copy(const fs::path& source, const HostFile& file, const fs::path& part, const StopSignal& stop)
      : source_path_(source), file_(file), part_(part), stop_(stop), buffer_(kChunk) {}

  // The part is whole, right and durable after it. `told` gets the bytes done.
  Status run(const std::function<void(int64_t)>& told);

 private:
  Status open_source();
  Result<int64_t> bytes_there() const;
  // Reads `most` bytes or up to the end, and gives them to `take`.
  Status read_chunks(int descriptor, const fs::path& path, int64_t most,
                     const std::function<Status(std::span<const std::byte>)>& take);
  Result<std::string> copy_from(int64_t offset, const std::function<void(int64_t)>& told);

  const fs::path source_path_;
  const HostFile& file_;
  const fs::path part_;
  const StopSignal& stop_;
  std::vector<std::byte> buffer_;
  FileDescriptor source_;
};

Status Copy::open_source() {
  Result<FileDescriptor> source = open_to_read(source_path_);
  if (!source && source.error().cause == Cause::not_found) return changed(source_path_, "it is not there");
  if (!source) return std::move(source).error();
  TRY(int64_t size, size_of(*source, source_path_));
  if (size != file_.bytes)
    return changed(source_path_, fmt::format("it has {} bytes instead of {}", size, file_.bytes));
  source_ = std::move(*source);
  return {};
}

Result<int64_t> Copy::bytes_there() const {
  Result<FileDescriptor> part = open_to_read(part_, O_NOFOLLOW);
  if (!part && part.error().cause == Cause::not_found) return int64_t{0};
  if (!part) return std::move(part).error();
  TRY(int64_t size, size_of(*part, part_));
  return size <= file_.bytes ? size : 0;
}

Status Copy::read_chunks(int descriptor, const fs::path& path, int64_t most,
                         const std::function<Status(std::span<const std::byte>)>& take) {
  while (most > 0) {
    if (stop_.raised()) return Error{stop_.cause(), "stopped while copying " + source_path_.string()};
    const size_t wanted = static_cast<size_t>(std::min<int64_t>(most, kChunk));
    ssize_t got = ::read(descriptor, buffer_.data(), wanted);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("reading " + path.string(), errno);
    if (got == 0) return changed(path, fmt::format("it ends {} bytes early", most));
    TRY(take(std::span<const std::byte>(buffer_).first(static_cast<size_t>(got))));
    most -= got;
  }
  return {};
}

Result<std::string> Copy::copy_from(int64_t offset, const std::function<void(int64_t)>& told) {
  Digester digester;
  if (offset > 0) {
    TRY(FileDescriptor part, open_to_read(part_, O_NOFOLLOW));
    TRY(read_chunks(part.get(), part_, offset, [&](std::span<const std::byte> bytes) {
      digester.add(bytes);
      return Status();
    }));
  }
  TRY(FileWriter writer, FileWriter::resume(part_, offset));
  if (::lseek(source_.get(), offset, SEEK_SET) != offset)
    return system_error("reading " + source_path_.string(), errno);
  int64_t done = offset;
  const auto take = [&](std::span<const std::byte> bytes) -> Status {
    digester.add(bytes);
    TRY(writer.write(bytes));
    done += static_cast<int64_t>(bytes.size());
    told(done);
    return {};
  };
  TRY(read_chunks(source_.get(), source_path_, file_.bytes - offset, take));
  TRY(writer.finish());
  return digester.text();
}

Status Copy::run(const std::function<void(int64_t)>& told) {
  TRY(open_source());
  TRY(int64_t offset, bytes_there());
  TRY(std::string digest, copy_from(offset, told));
  // What was there may be of a file that had been changed meanwhile: once more, all of it.
  if (digest != file_.digest && offset > 0) {
    TRY(digest, copy_from(0, told));
  }
  if (digest == file_.digest) return {};
  ::unlink(part_.c_str());
  return changed(source_path_, fmt::format("its digest is {} instead of {}", digest, file_.digest));
}

// What create_folders may have made, up to the root.
void add_folders(const fs::path& root, const fs::path& file, std::set<fs::path>& folders) {
  for (fs::path at = file.parent_path(); at.native().size() >= root.native().size(); at = at.parent_path()) {
    folders.insert(at);
    if (at == root || !at.has_relative_path()) break;
  }
}

}  // namespace

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

Result<bool> file_matches(const fs::path& path, const HostFile& file, bool digest) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return false;
    return system_error("looking at " + path.string(), errno);
  }
  if (!S_ISREG(info.st_mode) || info.st_size != file.bytes) return false;
  if (!digest) return true;
  TRY(std::string found, digest_of_file(path));
  return found == file.digest;
}

Status transfer_files(const Transfer& transfer, const std::vector<HostFile>& files,
                      const TransferProgress& progress, const StopSignal& stop) {
  TRY(fs::path incoming, path_below(transfer.root, transfer.incoming));
  TRY(create_folders(incoming));
  std::set<fs::path> folders;
  int64_t before = 0;
  const auto told = [&](int64_t done) {
    if (progress) progress(before + done);
  };
  for (const HostFile& file : files) {
    if (stop.raised()) return Error{stop.cause(), "stopped while copying"};
    if (!is_inside(file.path))
      return Error{Cause::bad_data, fmt::format("'{}' is not a plain relative path", file.path)};
    if (!is_digest(file.digest))
      return Error{Cause::bad_data, fmt::format("{}: '{}' is not a digest", file.path, file.digest)};
    TRY(fs::path target, path_below(transfer.root, transfer.to / file.path));
    TRY(bool there, file_matches(target, file, true));
    if (!there) {
      const fs::path part = incoming / (file.digest + ".part");
      TRY(create_folders(target.parent_path()));
      TRY(Copy(transfer.from / file.path, file, part, stop).run(told));
      TRY(rename_durably(part, target));
    }
    told(file.bytes);
    before += file.bytes;
    add_folders(transfer.root, target, folders);
  }
  // Also for files that were there: their folder's fsync may be what an earlier try did not reach.
  for (const fs::path& folder : folders) TRY(sync_folder(folder));
  ::rmdir(incoming.c_str());  // when nothing else is in it
  return {};
}

}  // namespace gnnflow
