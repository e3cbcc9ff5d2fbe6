// Is what the steps have made still what it was?
#include "orchestrator/engine/verify.h"

#include <algorithm>
#include <map>

#include "common/base/digest.h"
#include "orchestrator/engine/artifacts.h"
#include "orchestrator/engine/manifest.h"

namespace gnnflow {
namespace {

constexpr size_t kFilesAtATime = 64;  // after a damaged one the rest is not read

// Of the partition that `piece` is: where placements put it. Where it was made, it is looked at as a whole.
bool is_placed(const LocationRow& copy, const PieceRow& piece) {
  return copy.piece != piece.name && copy.path == "data/" + piece.digest;
}

// Beside a part lies its own list; where the partition was made, one names all of it.
Result<std::string> read_list(Host& host, const LocationRow& copy, bool part) {
  if (part) {
    if (auto own = host.read(manifest_of(fs::path(copy.path) / copy.piece), kMostManifestBytes)) return own;
  }
  return host.read(manifest_of(copy.path), kMostManifestBytes);
}

Status check_files(Host& host, const LocationRow& copy, const std::vector<HostFile>& files,
                   const StopSignal& stop) {
  for (size_t i = 0; i < files.size(); i += kFilesAtATime) {
    const std::vector<HostFile> some(
        files.begin() + static_cast<ptrdiff_t>(i),
        files.begin() + static_cast<ptrdiff_t>(std::min(i + kFilesAtATime, files.size())));
    TRY(auto good, host.check(some, copy.path, true, stop));
    for (size_t k = 0; k < some.size(); ++k) {
      if (k >= good.size() || !good[k]) return Error{Cause::bad_data, "file " + some[k].path + " is damaged"};
    }
  }
  return {};
}

Status verify_copy(Host& host, const LocationRow& copy, bool part, const StopSignal& stop,
                   VerifiedCopy& told) {
  auto text = read_list(host, copy, part);
  if (!text && text.error().cause == Cause::not_found) return Error{Cause::bad_data, "it is gone"};
  if (!text) return std::move(text).error();
  if (!part && digest_of(*text) != copy.artifact)
    return Error{Cause::bad_data, "its list of files is damaged"};
  auto files = parse_manifest(*text, manifest_of(copy.path).string());
  if (!files) return Error{Cause::bad_data, "its list of files is damaged: " + files.error().message};
  told.files = static_cast<int64_t>(files->size());
  told.bytes = bytes_of(*files);
  return check_files(host, copy, *files, stop);
}

}  // namespace

Result<std::vector<VerifiedCopy>> verify_outputs(const Workflow& workflow, PastResults& past,
                                                 const std::vector<std::unique_ptr<Host>>& hosts,
                                                 const StopSignal& stop) {
  std::map<std::string, Host*, std::less<>> by_name;
  for (const auto& host : hosts) by_name[host->name()] = host.get();
  TRY(auto attempts, past.attempts());
  std::vector<VerifiedCopy> told;
  for (const StepEntry& step : workflow.steps) {
    const AttemptRow* last = nullptr;
    for (const AttemptRow& attempt : attempts) {
      if (attempt.step == step.name && attempt.state == AttemptState::succeeded) last = &attempt;
    }
    if (!last) continue;
    TRY(auto pieces, past.pieces_of(last->id));
    for (const PieceRow& piece : pieces) {
      TRY(auto copies, past.locations_of(piece.digest));
      for (const LocationRow& copy : copies) {
        const auto host = by_name.find(copy.host);
        if (!copy.verified || host == by_name.end()) continue;
        const bool part = is_placed(copy, piece);
        if (!part && copy.piece != piece.name) continue;  // another output with the same content
        VerifiedCopy one{step.name, copy.piece, copy.host, copy.path, 0, 0, {}};
        if (Status status = verify_copy(*host->second, copy, part, stop, one); !status) {
          if (stop.raised()) return Error{stop.cause(), "stopped while verifying"};
          one.fault = std::move(status).error();
        }
        told.push_back(std::move(one));
      }
    }
  }
  return told;
}

}  // namespace gnnflow
