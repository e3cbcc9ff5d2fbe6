// Publishing what a job has made: out/<piece> of its folder becomes <to>/<piece>, with its manifest beside
// it, once.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/json.h"
#include "common/base/result.h"
#include "common/base/stop_signal.h"
#include "worker/daemon/host_folder.h"

namespace gnnflow {

struct PublishedPiece {
  std::string name;
  std::string digest;  // of the manifest
  int64_t bytes = 0;
  int64_t files = 0;
  Json to_json() const;
};

// <piece>.manifest.json: {"files":[{"bytes":…,"digest":…,"path":…},
// …],"format":"gnnflow.manifest","version":1}, canonical, files by path; of one that can be run also
// "executable":true. Links, special files and names that are no UTF-8 are refused (`bad_data`).
Result<Json> manifest_of(const fs::path& folder, const StopSignal* stop);

// Put if absent: fsync, manifest, rename, piece by piece. Whatever a crash has left of it, asked again it
// goes on and answers the same. `not_found` when a piece is in neither place. Once `stop` is raised nothing
// more becomes an output.
Result<std::vector<PublishedPiece>> publish(const HostFolder& host, std::string_view token,
                                            std::string_view to, const std::vector<std::string>& pieces,
                                            const StopSignal* stop = nullptr);

}  // namespace gnnflow
