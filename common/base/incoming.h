// Files that come from elsewhere: kept below their folder, gathered in a locked part, digested as they come,
// made durable.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/result.h"

namespace gnnflow {

// root/relative, when `relative` is plain (no "..", no "." parts) and nothing on the way below root is a
// link; else bad_data.
Result<fs::path> path_below(const fs::path& root, const fs::path& relative);

// Is it there: a plain file with this size and, if there is one, this digest (XXH3-128)?
Result<bool> file_matches(const fs::path& path, int64_t bytes, std::string_view digest);

// "; 12.5 MiB are free there" for errors of a full disk.
std::string free_space_note(const fs::path& path);
// Bytes that this user may still write where `path` is, or where the nearest folder above it is.
Result<int64_t> free_bytes_at(const fs::path& path);

// A file on its way to `target`: bytes go to `part`, which only one process at a time holds, by a lock that
// ends with it. What an earlier try left in the part is kept. One thread at a time.
class IncomingFile {
 public:
  struct Place {
    fs::path target, part;
    int64_t bytes = 0;
    std::string digest;
    bool executable = false;  // whoever may read it may run it
  };

  // Nothing when the target is there and right; where it cannot be run and should be, it can be now. `locked`
  // when another process holds the part.
  static Result<std::optional<IncomingFile>> begin(const Place& place);
  // Waits while another process holds the part: it ends, by itself or by a signal, and the lock is free. Then
  // `temporary`. The folder of the part is made. `waiting` is called now and then meanwhile; its error ends
  // the wait.
  static Result<std::optional<IncomingFile>> begin_when_free(const Place& place, Deadline patience,
                                                             const std::function<Status()>& waiting);
  IncomingFile(IncomingFile&&) noexcept;
  IncomingFile& operator=(IncomingFile&&) noexcept;
  ~IncomingFile();  // an empty part is removed

  const Place& place() const;
  int64_t size() const;  // of the part: where to go on
  bool whole() const { return size() == place().bytes; }
  // Goes behind what is there. bad_data beyond the announced size; a full disk is `no_resources` and says
  // what is free.
  Status write(std::span<const std::byte> bytes);
  Result<std::string> digest();  // of all that is there
  Status clear();                // empty again
  // REQUIRES: whole, and its digest is right. fsync, then rename; folders are made, but not synced.
  Status publish();

 private:
  struct State;
  explicit IncomingFile(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace gnnflow
