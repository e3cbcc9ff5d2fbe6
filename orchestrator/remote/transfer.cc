// Local file movement: real copies, never links.
#include "orchestrator/remote/transfer.h"

#include <optional>
#include <set>

#include <fmt/format.h>
#include <unistd.h>

#include "common/base/digest.h"
#include "common/base/incoming.h"
#include "common/wire/file_chunks.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kPatience{600'000};

// The rest of the source; what the digest of all is then.
Result<std::string> fill(IncomingFile& file, const fs::path& source, const StopSignal& stop,
                         const std::function<void(int64_t)>& told) {
  const IncomingFile::Place& place = file.place();
  TRY(OutgoingFile outgoing, OutgoingFile::open({source, place.bytes, place.digest}, file.size()));
  while (!outgoing.at_end()) {
    if (stop.raised()) return Error{stop.cause(), "stopped while copying " + source.string()};
    TRY(std::string bytes, outgoing.next());
    TRY(file.write(std::as_bytes(std::span(bytes))));
    told(file.size());
  }
  return file.digest();
}

Status copy_into(IncomingFile& file, const fs::path& source, const StopSignal& stop,
                 const std::function<void(int64_t)>& told) {
  const std::string& wanted = file.place().digest;
  const bool resumed = file.size() > 0;
  TRY(std::string found, fill(file, source, stop, told));
  // What was there may be of a file that had been changed meanwhile: once more, all of it.
  if (found != wanted && resumed) {
    TRY(file.clear());
    TRY(found, fill(file, source, stop, told));
  }
  if (found != wanted)
    return changed_file(source, fmt::format("its digest is {} instead of {}", found, wanted));
  return file.publish();
}

// Of a source that was changed nothing is worth keeping.
Status copy_file(IncomingFile file, const fs::path& source, const StopSignal& stop,
                 const std::function<void(int64_t)>& told) {
  Status copied = copy_into(file, source, stop, told);
  if (!copied && copied.error().cause == Cause::bad_data) (void)file.clear();
  return copied;
}

// What create_folders may have made, up to the root.
void add_folders(const fs::path& root, const fs::path& file, std::set<fs::path>& folders) {
  for (fs::path at = file.parent_path(); at.native().size() >= root.native().size(); at = at.parent_path()) {
    folders.insert(at);
    if (at == root || !at.has_relative_path()) break;
  }
}

}  // namespace

Status transfer_files(const Transfer& transfer, const std::vector<HostFile>& files,
                      const TransferProgress& progress, const StopSignal& stop) {
  TRY(fs::path incoming, path_below(transfer.root, transfer.incoming));
  TRY(create_folders(incoming));
  std::set<fs::path> folders = {incoming};
  int64_t before = 0;
  const auto told = [&](int64_t done) {
    if (progress) progress(before + done);
  };
  const auto unless_stopped = [&] {
    return stop.raised() ? Status(Error{stop.cause(), "stopped while copying"}) : Status();
  };
  for (const HostFile& file : files) {
    TRY(unless_stopped());
    if (!is_inside(file.path))
      return Error{Cause::bad_data, fmt::format("'{}' is not a plain relative path", file.path)};
    if (!is_digest(file.digest))
      return Error{Cause::bad_data, fmt::format("{}: '{}' is not a digest", file.path, file.digest)};
    TRY(fs::path target, path_below(transfer.root, transfer.to / file.path));
    const IncomingFile::Place place{target, incoming / (file.digest + ".part"), file.bytes, file.digest};
    TRY(std::optional<IncomingFile> part,
        IncomingFile::begin_when_free(place, Deadline::after(kPatience), unless_stopped));
    if (part) TRY(copy_file(std::move(*part), transfer.from / file.path, stop, told));
    told(file.bytes);
    before += file.bytes;
    add_folders(transfer.root, target, folders);
  }
  // Also for files that were there: their folder's fsync may be what an earlier try did not reach.
  for (const fs::path& folder : folders) {
    Status synced = sync_folder(folder);
    // (Another controller may have removed the empty `incoming`.)
    if (!synced && (folder != incoming || synced.error().cause != Cause::not_found)) return synced;
  }
  ::rmdir(incoming.c_str());  // when nothing else is in it
  return {};
}

}  // namespace gnnflow
