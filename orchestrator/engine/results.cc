// The link is relative, so that the state folder can be moved, and replaced by a rename: who follows it meets
// the old result or the new one.
#include "orchestrator/engine/results.h"

#include <cerrno>
#include <string>

#include <unistd.h>

namespace gnnflow {

Result<ResultLink> link_result(const fs::path& controller_root, std::string_view name,
                               const fs::path& output) {
  const fs::path folder = controller_root.parent_path().parent_path() / "results";
  const fs::path link = folder / name, fresh = folder / ("." + std::string(name) + ".new");
  const fs::path target = output.lexically_relative(folder);
  std::error_code error;
  const fs::path before = fs::read_symlink(link, error);  // empty: there is none
  ResultLink made{link, !before.empty() && before != target};
  if (before == target) return made;
  TRY(create_folders(folder));
  ::unlink(fresh.c_str());  // of a controller that ended between the two
  if (::symlink(target.c_str(), fresh.c_str()) != 0)
    return system_error("making the link " + fresh.string(), errno);
  if (::rename(fresh.c_str(), link.c_str()) != 0)
    return system_error("making the link " + link.string(), errno);
  return made;
}

}  // namespace gnnflow
