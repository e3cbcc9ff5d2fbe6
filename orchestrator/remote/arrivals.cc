// Places of files that come, and the folders that have to be synced for them.
#include "orchestrator/remote/arrivals.h"

#include <fmt/format.h>
#include <unistd.h>

#include "common/base/digest.h"

namespace gnnflow {

Result<Arrivals> Arrivals::at(const fs::path& root, const fs::path& to) {
  Arrivals arrivals(root, to);
  TRY(const fs::path incoming, path_below(root, "incoming"));
  TRY(create_folders(incoming));
  return arrivals;
}

Result<Arrivals> Arrivals::in(const fs::path& folder) {
  fs::path target = fs::absolute(folder).lexically_normal();
  if (!target.has_filename()) target = target.parent_path();  // of "x/" the last part would be empty
  return at(target.parent_path(), target.filename());
}

Result<IncomingFile::Place> Arrivals::place_of(const HostFile& file) {
  if (!is_inside(file.path))
    return Error{Cause::bad_data, fmt::format("'{}' is not a plain relative path", file.path)};
  if (!is_digest(file.digest))
    return Error{Cause::bad_data, fmt::format("{}: '{}' is not a digest", file.path, file.digest)};
  TRY(fs::path target, path_below(root_, to_ / file.path));
  // Those that are made for it, up to the root; also for a file that is there: their fsync may be what an
  // earlier try did not reach.
  for (fs::path folder = target.parent_path(); folder.native().size() >= root_.native().size();
       folder = folder.parent_path()) {
    folders_.insert(folder);
    if (folder == root_ || !folder.has_relative_path()) break;
  }
  return IncomingFile::Place{target, incoming() / (file.digest + ".part"), file.bytes, file.digest,
                             file.executable};
}

Status Arrivals::finish() const {
  for (const fs::path& folder : folders_) TRY(sync_folder(folder));
  // Another controller may have removed it when it was empty.
  Status synced = sync_folder(incoming());
  if (!synced && synced.error().cause != Cause::not_found) return synced;
  ::rmdir(incoming().c_str());  // when nothing else is in it
  return {};
}

}  // namespace gnnflow
