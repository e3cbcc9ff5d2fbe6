// By environment, then by the system's list of users.
#include "common/base/home.h"

#include <cstdlib>
#include <vector>

#include <pwd.h>
#include <unistd.h>

namespace gnnflow {

Result<fs::path> home_folder() {
  if (const char* named = std::getenv("HOME"); named && *named) return fs::path(named);
  constexpr size_t kMostBytes = 1 << 16;
  std::vector<char> text(kMostBytes);
  passwd entry{};
  passwd* found = nullptr;
  ::getpwuid_r(::getuid(), &entry, text.data(), text.size(), &found);
  if (found && entry.pw_dir && *entry.pw_dir) return fs::path(entry.pw_dir);
  return Error{Cause::failed, "no home folder: set HOME"};
}

Result<fs::path> expand_home(std::string_view path) {
  if (path != "~" && !path.starts_with("~/")) return fs::path(path);
  TRY(fs::path home, home_folder());
  return path == "~" ? home : home / path.substr(2);
}

}  // namespace gnnflow
