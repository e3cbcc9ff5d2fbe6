// Who uses a bundle is read from /proc: a program of a bundle is started by the loader that lies in it.
#include "worker/daemon/bundle_sweep.h"

#include <algorithm>
#include <optional>
#include <set>

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/digest.h"
#include "common/base/text.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kBetweenTries{20};
constexpr std::string_view kTrash = "trash-";
constexpr int64_t kYoungSeconds = 24 * 3600;

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  return names;
}

bool is_young(const fs::path& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return false;
  return system_clock().unix_milliseconds() / 1000 - info.st_mtim.tv_sec < kYoungSeconds;
}

// The programs below `bundles` that processes of this user run, as paths from there.
std::vector<fs::path> running_below(const fs::path& bundles) {
  std::vector<fs::path> running;
  std::error_code error;
  const fs::path top = fs::canonical(bundles, error);
  for (const std::string& name : names_in("/proc")) {
    if (!parse_integer(name)) continue;
    std::error_code gone;  // or another user's
    const fs::path program = fs::read_symlink("/proc/" + name + "/exe", gone);
    if (gone) continue;
    const fs::path below = program.lexically_relative(top);
    if (is_inside(below)) running.push_back(below);
  }
  return running;
}

using Inodes = std::set<ino_t>;

// Adds what is not in it yet; the bytes of that.
int64_t count_inodes(const fs::path& folder, Inodes& seen) {
  int64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    struct stat info {};
    const bool counts = ::lstat(entry->path().c_str(), &info) == 0 && S_ISREG(info.st_mode);
    if (counts && seen.insert(info.st_ino).second) bytes += info.st_size;
  }
  return bytes;
}

bool is_linked(const fs::path& file, const Inodes& by) {
  struct stat info {};
  return ::lstat(file.c_str(), &info) == 0 && by.count(info.st_ino) != 0;
}

// Sent, and its bundle was not made yet.
bool is_first_link(const fs::path& file) {
  struct stat info {};
  return ::lstat(file.c_str(), &info) == 0 && info.st_nlink == 1;
}

class Sweep {
 public:
  Sweep(fs::path workspace, std::string store, SweepWish wish, const StopSignal& stop)
      : workspace_(std::move(workspace)),
        bundles_(workspace_ / "bundles"),
        store_(std::move(store)),
        wish_(wish),
        stop_(stop) {}

  Result<std::vector<SweptBundle>> run();

 private:
  bool is_used(const fs::path& below) const;
  Result<std::optional<FileLock>> lock() const;
  bool others_send();
  bool nobody_else() const;
  void find_bundles(Inodes& kept);
  void find_others(const Inodes& kept);
  Status remove_all() const;

  const fs::path workspace_, bundles_;
  const std::string store_;
  const SweepWish wish_;
  const StopSignal& stop_;
  std::vector<fs::path> running_;
  std::vector<SweptBundle> swept_;  // for whoever asked
  std::vector<fs::path> doomed_;    // below bundles_, file by file
};

bool Sweep::is_used(const fs::path& below) const {
  return std::any_of(running_.begin(), running_.end(),
                     [&](const fs::path& program) { return is_inside(program.lexically_relative(below)); });
}

// Nothing when another controller kept it until our patience ended, or somebody took it all away.
Result<std::optional<FileLock>> Sweep::lock() const {
  const Deadline deadline = Deadline::after(wish_.patience);
  while (true) {
    Result<FileLock> lock = FileLock::take(bundles_ / "lock");
    if (lock) return std::optional(*std::move(lock));
    const Cause cause = lock.error().cause;
    if (cause == Cause::not_found || (cause == Cause::locked && deadline.passed()))
      return std::optional<FileLock>();
    if (cause != Cause::locked) return lock.error();
    pollfd stopped{stop_.descriptor(), POLLIN, 0};
    ::poll(&stopped, 1, static_cast<int>(kBetweenTries.count()));
    if (stop_.raised()) return Error{stop_.cause(), "stopped while another controller makes a bundle"};
  }
}

// One receiver is of the controller that asks. Another one's may count on files that it has just sent.
bool Sweep::others_send() {
  running_ = running_below(bundles_);
  return std::count_if(running_.begin(), running_.end(),
                       [](const fs::path& program) { return *program.begin() == "receive"; }) > 1;
}

bool Sweep::nobody_else() const {
  const std::vector<std::string> names = names_in(workspace_);
  return std::none_of(names.begin(), names.end(),
                      [&](const std::string& name) { return is_digest(name) && name != store_; });
}

void Sweep::find_bundles(Inodes& kept) {
  std::vector<std::string> dead;
  for (const std::string& name : names_in(bundles_)) {
    if (!is_digest(name)) continue;
    if (is_used(name) || (!wish_.all && is_young(bundles_ / name))) {
      count_inodes(bundles_ / name, kept);
    } else {
      dead.push_back(name);
    }
  }
  Inodes counted = kept;
  for (const std::string& name : dead) {
    swept_.push_back({"bundles/" + name, count_inodes(bundles_ / name, counted)});
    doomed_.push_back(name);
  }
}

// Receivers, what was sent and belongs to no bundle, and what an earlier sweep has left.
void Sweep::find_others(const Inodes& kept) {
  for (const std::string& name : names_in(bundles_ / "receive")) {
    const fs::path below = fs::path("receive") / name;
    if (!is_used(below) && (wish_.all || !is_young(bundles_ / below))) doomed_.push_back(below);
  }
  for (const std::string& name : names_in(bundles_ / "files")) {
    const fs::path file = bundles_ / "files" / name;
    const bool fresh = !wish_.all && is_first_link(file) && is_young(file);
    if (!fresh && !is_linked(file, kept)) doomed_.push_back(fs::path("files") / name);
  }
  for (const std::string& name : names_in(bundles_ / "incoming")) {
    const fs::path below = fs::path("incoming") / name;
    const bool held = FileLock::is_held(bundles_ / below).value_or(true);
    if (!held && (wish_.all || !is_young(bundles_ / below))) doomed_.push_back(below);
  }
  for (const std::string& name : names_in(bundles_)) {
    if (name.starts_with(kTrash)) doomed_.push_back(name);
  }
}

Status Sweep::remove_all() const {
  for (const fs::path& below : doomed_) {
    const fs::path trash = bundles_ / (std::string(kTrash) + random_hex(6));
    TRY(rename_durably(bundles_ / below, trash));
    TRY(remove_tree(trash));
  }
  return {};
}

Result<std::vector<SweptBundle>> Sweep::run() {
  std::error_code error;
  if (!fs::is_directory(bundles_, error)) return swept_;
  if (others_send()) return swept_;  // no wait would help
  // Who makes a bundle holds it: looked at is what stands when they are done.
  TRY(const std::optional<FileLock> held, lock());
  if (!held || others_send()) return swept_;
  if (wish_.all && nobody_else()) {
    Inodes all;
    swept_.push_back({"bundles", count_inodes(bundles_, all)});
    if (wish_.dry_run) return swept_;
    const fs::path trash = workspace_ / (std::string(kTrash) + random_hex(6));
    TRY(rename_durably(bundles_, trash));
    TRY(remove_tree(trash));
    return swept_;
  }
  Inodes kept;
  find_bundles(kept);
  find_others(kept);
  if (!wish_.dry_run) TRY(remove_all());
  return swept_;
}

}  // namespace

Result<std::vector<SweptBundle>> sweep_bundles(const fs::path& workspace, const std::string& store,
                                               const SweepWish& wish, const StopSignal& stop) {
  return Sweep(workspace, store, wish, stop).run();
}

}  // namespace gnnflow
