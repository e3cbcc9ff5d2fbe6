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

#include "common/base/incoming.h"
#include "common/base/text.h"

namespace gnnflow {
namespace {

constexpr int64_t kMostLogBytesAtOnce = 8 << 20;
constexpr int64_t kTailBytes = 64 << 10;

// How deep below a folder of the root things lie that are kept or removed as one.
struct Shelf {
  std::string_view name;
  int depth;
};
constexpr std::array<Shelf, 6> kShelves = {
    {{"outputs", 3}, {"data", 1}, {"checkpoints", 2}, {"tmp", 1}, {"logs", 1}, {"incoming", 1}}};
constexpr std::string_view kIncoming = "incoming/", kOutputs = "outputs/";

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

std::vector<std::string> shelf_names() {
  std::vector<std::string> names;
  for (const Shelf& shelf : kShelves) names.emplace_back(shelf.name);
  return names;
}

// Regular files only, and nothing behind a link.
Result<int64_t> bytes_below(const fs::path& path, const struct stat& info, const StopSignal& stop) {
  if (!S_ISDIR(info.st_mode)) return S_ISREG(info.st_mode) ? int64_t{info.st_size} : 0;
  int64_t total = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(path, error), end; !error && entry != end;
       entry.increment(error)) {
    if (stop.raised()) return Error{stop.cause(), "stopped while listing"};
    struct stat one {};
    if (::lstat(entry->path().c_str(), &one) == 0 && S_ISREG(one.st_mode)) total += one.st_size;
  }
  return total;
}

// `depth` more folders down; what is no folder before is a thing itself.
Status list_below(const fs::path& root, const fs::path& relative, int depth, const StopSignal& stop,
                  Json& things) {
  std::error_code error;
  for (fs::directory_iterator entry(root / relative, error), end; !error && entry != end;
       entry.increment(error)) {
    const fs::path here = relative / entry->path().filename();
    struct stat info {};
    if (::lstat(entry->path().c_str(), &info) != 0) continue;
    if (depth > 1 && S_ISDIR(info.st_mode)) {
      TRY(list_below(root, here, depth - 1, stop, things));
      continue;
    }
    TRY(const int64_t bytes, bytes_below(entry->path(), info, stop));
    Json thing;
    thing["path"] = here.string();
    thing["bytes"] = bytes;
    thing["changed_ms"] = int64_t{info.st_mtim.tv_sec} * 1000 + info.st_mtim.tv_nsec / 1'000'000;
    things.push_back(std::move(thing));
  }
  return {};
}

bool is_ours(const HostFolder& host, const fs::path& path) {
  const std::string name = path.filename().string();
  const bool shelf =
      std::any_of(kShelves.begin(), kShelves.end(), [&](const Shelf& one) { return one.name == name; });
  return shelf || path == host.journal() || path == host.daemon_log() || host.is_leftover(name);
}

// From `folder` up to, and without, `top`. None that holds anything goes.
void remove_empty_folders(const fs::path& top, fs::path folder) {
  while (folder != top && folder.has_relative_path() && ::rmdir(folder.c_str()) == 0) {
    folder = folder.parent_path();
  }
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
  TRY(fs::path folder, path_below(host.root, fmt::format("checkpoints/{}/{}", step, resume_key)));
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

void cap_log(const fs::path& log, const LogLimits& limits) {
  FileDescriptor file(::open(log.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat info {};
  if (!file || ::fstat(file.get(), &info) != 0 || info.st_blocks * 512 < limits.most) return;
  // The writer goes on at the end; only what lies between is given back.
  ::fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, limits.begin,
              info.st_size - limits.begin - limits.end);
}

Result<Json> inventory(const HostFolder& host, const StopSignal& stop) {
  Json things(Json::Array{});
  for (const Shelf& shelf : kShelves) TRY(list_below(host.root, shelf.name, shelf.depth, stop, things));
  return things;
}

Status remove_stored(const HostFolder& host, std::string_view relative) {
  bool allowed = std::any_of(kShelves.begin(), kShelves.end(), [&](const Shelf& shelf) {
    return relative.starts_with(shelf.name) && relative.substr(shelf.name.size()).starts_with('/');
  });
  if (!allowed) {
    return Error{Cause::bad_data, fmt::format("'{}' is not below {}/", relative, join(shelf_names(), "/, "))};
  }
  TRY(fs::path path, path_below(host.root, relative));
  if (relative.starts_with(kIncoming)) {
    TRY(bool held, FileLock::is_held(path));
    if (held) return Error{Cause::locked, fmt::format("{} is being written", path.string())};
  }
  TRY(rename_aside_and_remove(host, path));
  TRY(rename_aside_and_remove(host, path.string() + ".manifest.json"));
  if (relative.starts_with(kOutputs)) remove_empty_folders(host.root / "outputs", path.parent_path());
  return {};
}

std::vector<std::string> forget_everything(const HostFolder& host) {
  std::vector<std::string> left;
  std::vector<fs::path> last;
  std::error_code error;
  for (fs::directory_iterator entry(host.root, error), end; !error && entry != end; entry.increment(error)) {
    // The lock goes last: who starts a daemon meanwhile still finds it held.
    if (entry->path() == host.lock()) {
      last.push_back(entry->path());
    } else if (!is_ours(host, entry->path()) || !remove_tree(entry->path())) {
      left.push_back(entry->path().filename().string());
    }
  }
  for (const fs::path& path : last) (void)remove_tree(path);
  const fs::path store = host.root.parent_path(), workspace = store.parent_path();
  if (::rmdir(host.root.c_str()) == 0 && ::rmdir(store.c_str()) == 0) {
    // Of a workspace that nobody has named nothing stays either.
    if (workspace.filename() == "gnnflow" && workspace.parent_path().filename() == ".cache")
      ::rmdir(workspace.c_str());
  }
  std::sort(left.begin(), left.end());
  return left;
}

}  // namespace gnnflow
