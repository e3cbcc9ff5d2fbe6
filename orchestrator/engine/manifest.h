// The list of files of a piece, kept beside it as `<piece>.manifest.json`: what is copied, and what must
// still be there.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/file.h"
#include "common/base/result.h"
#include "orchestrator/remote/host.h"

namespace gnnflow {

constexpr int64_t kMostManifestBytes = 64 << 20;

fs::path manifest_of(const fs::path& piece);  // "<piece>.manifest.json"

// Every path in it is a plain relative one; else bad_data. Read strictly (docs/protocol.md).
Result<std::vector<HostFile>> parse_manifest(std::string_view text, std::string_view where);
// Of what `gnnflow-worker list --json` says.
Result<std::vector<HostFile>> parse_listing(std::string_view text, std::string_view where);
std::string write_manifest(const std::vector<HostFile>& files);
std::string digest_of_files(const std::vector<HostFile>& files);
int64_t bytes_of(const std::vector<HostFile>& files);

// The first file below `folder` that is missing, has another size or cannot be run but should be, as a
// sentence; empty when all are there.
std::string first_misfit(const fs::path& folder, const std::vector<HostFile>& files);

}  // namespace gnnflow
