// Inside orchestrator/remote: where files that come to a folder of this machine are put, whatever brings
// them.
#pragma once

#include <set>

#include "common/base/file.h"
#include "common/base/incoming.h"
#include "common/base/result.h"
#include "orchestrator/remote/host.h"

namespace gnnflow {

// Files go to root/to by way of root/incoming/<digest>.part; nothing leaves the root, no link below it is
// followed. One thread at a time.
class Arrivals {
 public:
  static Result<Arrivals> at(const fs::path& root, const fs::path& to);  // makes the folders
  // The folder itself, which may end with "/": its parts lie in `incoming` beside it.
  static Result<Arrivals> in(const fs::path& folder);

  Result<IncomingFile::Place> place_of(const HostFile& file);
  // fsync of the folders of all places that were asked for. `incoming` goes when it is empty.
  Status finish() const;

 private:
  Arrivals(fs::path root, fs::path to) : root_(std::move(root)), to_(std::move(to)) {}
  fs::path incoming() const { return root_ / "incoming"; }

  fs::path root_, to_;
  std::set<fs::path> folders_;
};

}  // namespace gnnflow
