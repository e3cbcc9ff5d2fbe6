// What else a controller asks of the files on a host: complete checkpoints, pieces of logs, removal.
#pragma once

#include <string>
#include <string_view>

#include "common/base/json.h"
#include "common/base/result.h"
#include "worker/daemon/host_folder.h"

namespace gnnflow {

// Complete: the folder is named by its epoch and has a checkpoint.json, and every name in that one's map
// `files` is there with its `bytes`. List of {epoch, path, bytes}, by epoch; paths are absolute.
Result<Json> complete_checkpoints(const HostFolder& host, std::string_view step, std::string_view resume_key);

struct LogPiece {
  int64_t size = 0;  // of the whole log
  std::string bytes;
};
Result<LogPiece> read_log(const HostFolder& host, std::string_view token, int64_t offset, int64_t limit);
std::string last_lines(const HostFolder& host, std::string_view token,
                       size_t most);  // empty when there is no log
// Frees the middle of a log beyond the cap; offsets stay what they are, the freed bytes read as zeros.
void cap_log(const HostFolder& host, std::string_view token);

// Only below outputs/, data/ and checkpoints/. Renamed aside, then unlinked; a manifest beside it goes too.
// Absent is fine.
Status remove_stored(const HostFolder& host, std::string_view path);

}  // namespace gnnflow
