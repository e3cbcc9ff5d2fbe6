// Local file movement: real copies, never links.
#include "orchestrator/remote/transfer.h"

#include <optional>

#include <fmt/format.h>

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

}  // namespace

Status transfer_files(const fs::path& from, const std::vector<HostFile>& files, Arrivals arrivals,
                      const TransferProgress& progress, const StopSignal& stop) {
  int64_t before = 0;
  const auto told = [&](int64_t done) {
    if (progress) progress(before + done);
  };
  const auto unless_stopped = [&] {
    return stop.raised() ? Status(Error{stop.cause(), "stopped while copying"}) : Status();
  };
  for (const HostFile& file : files) {
    TRY(unless_stopped());
    TRY(const IncomingFile::Place place, arrivals.place_of(file));
    TRY(std::optional<IncomingFile> part,
        IncomingFile::begin_when_free(place, Deadline::after(kPatience), unless_stopped));
    if (part) TRY(copy_file(std::move(*part), from / file.path, stop, told));
    told(file.bytes);
    before += file.bytes;
  }
  return arrivals.finish();
}

}  // namespace gnnflow
