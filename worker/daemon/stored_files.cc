// Checkpoints, logs and removal in a host's folder.
#include "worker/daemon/stored_files.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/text.h"

namespace gnnflow {
namespace {

constexpr int64_t kMostLogBytesAtOnce = 8 << 20;
constexpr int64_t kTailBytes = 64 << 10;
constexpr int64_t kLogCap = 256 << 20, kLogHead = 1 << 20, kLogTail = 64 << 20;
constexpr std::array<std::string_view, 3> kRemovable = {"outputs/", "data/", "checkpoints/"};

// The bytes of a complete checkpoint, or -1.
int64_t checkpoint_bytes(const fs::path& folder) {
  Result<std::string> text = read_file(folder / "checkpoint.json");
  if (!text) return -1;
  Result<Json> json = Json::parse(*text);
  if (!json || !json->get("files").is_object()) return -1;
  int64_t total = static_cast<int64_t>(text->size());
  for (const auto& [name, file] : json->get("files").object()) {
    int64_t bytes = file.integer_or("bytes", -1);
    std::error_code error;
    if (bytes < 0 || !is_inside(name) || !fs::is_regular_file(fs::symlink_status(folder / name, error)) ||
        static_cast<int64_t>(fs::file_size(folder / name, error)) != bytes) {
      return -1;
    }
    total += bytes;
  }
  return total;
}

Result<std::string> read_at(int file, int64_t offset, int64_t count, const fs::path& path) {
  std::string bytes(static_cast<size_t>(count), '\0');
  size_t filled = 0;
  while (filled < bytes.size()) {
    ssize_t got =
        ::pread(file, bytes.data() + filled, bytes.size() - filled, offset + static_cast<int64_t>(filled));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("reading " + path.string(), errno);
    if (got == 0) break;
    filled += static_cast<size_t>(got);
  }
  bytes.resize(filled);
  return bytes;
}

Status rename_aside_and_remove(const HostFolder& host, const fs::path& path) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(path, error))) return {};
  fs::path trash = host.root / ("trash-" + random_hex(6));
  TRY(rename_durably(path, trash));
  return remove_tree(trash);
}

}  // namespace

Result<Json> complete_checkpoints(const HostFolder& host, std::string_view step,
                                  std::string_view resume_key) {
  TRY(fs::path folder, host.inside(fmt::format("checkpoints/{}/{}", step, resume_key)));
  std::map<int64_t, Json> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::optional<int64_t> epoch = parse_integer(entry->path().filename().string());
    std::error_code ignored;
    if (!epoch || *epoch < 0 || !fs::is_directory(entry->symlink_status(ignored))) continue;
    int64_t bytes = checkpoint_bytes(entry->path());
    if (bytes < 0) continue;
    Json& row = found[*epoch];
    row["epoch"] = *epoch;
    row["path"] = entry->path().string();
    row["bytes"] = bytes;
  }
  Json list(Json::Array{});
  for (auto& [epoch, row] : found) list.push_back(std::move(row));
  return list;
}

Result<LogPiece> read_log(const HostFolder& host, std::string_view token, int64_t offset, int64_t limit) {
  TRY(check_token(token));
  fs::path path = host.log(token);
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file) return system_error("opening the log " + path.string(), errno);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return system_error("reading " + path.string(), errno);
  LogPiece piece{info.st_size, ""};
  offset = std::clamp<int64_t>(offset, 0, piece.size);
  int64_t count = std::clamp<int64_t>(limit, 0, std::min(kMostLogBytesAtOnce, piece.size - offset));
  TRY(piece.bytes, read_at(file.get(), offset, count, path));
  return piece;
}

std::string last_lines(const HostFolder& host, std::string_view token, size_t most) {
  Result<LogPiece> whole = read_log(host, token, 0, 0);
  if (!whole) return "";
  int64_t from = std::max<int64_t>(0, whole->size - kTailBytes);
  Result<LogPiece> end = read_log(host, token, from, kTailBytes);
  if (!end) return "";
  std::string& text = end->bytes;
  // A piece that begins inside a line begins with the next one.
  if (from > 0) text.erase(0, std::min(text.size(), text.find('\n') + 1));
  size_t at = text.size();
  if (at > 0 && text[at - 1] == '\n') --at;
  for (size_t lines = 0; lines < most && at != std::string::npos && at > 0; ++lines)
    at = text.rfind('\n', at - 1);
  return at == std::string::npos || at == 0 ? text : text.substr(at + 1);
}

void cap_log(const HostFolder& host, std::string_view token) {
  FileDescriptor file(::open(host.log(token).c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat info {};
  if (!file || ::fstat(file.get(), &info) != 0 || info.st_blocks * 512 < kLogCap) return;
  // The writer goes on at the end; only what lies between is given back.
  ::fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, kLogHead,
              info.st_size - kLogHead - kLogTail);
}

Status remove_stored(const HostFolder& host, std::string_view relative) {
  bool allowed = std::any_of(kRemovable.begin(), kRemovable.end(),
                             [&](std::string_view at) { return relative.starts_with(at); });
  if (!allowed) {
    return Error{Cause::bad_data, fmt::format("'{}' is not below outputs/, data/ or checkpoints/", relative)};
  }
  TRY(fs::path path, host.inside(relative));
  TRY(rename_aside_and_remove(host, path));
  return rename_aside_and_remove(host, path.string() + ".manifest.json");
}

}  // namespace gnnflow
