// What else a controller asks of the files on a host: complete checkpoints, pieces of logs, removal.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/json.h"
#include "common/base/result.h"
#include "common/base/stop_signal.h"
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
struct LogLimits {
  int64_t most = 0;            // bytes on the disk; then it keeps
  int64_t begin = 0, end = 0;  // so many of its first and of its last
};
constexpr LogLimits kJobLogLimits{256 << 20, 1 << 20, 64 << 20};
constexpr LogLimits kDaemonLogLimits{16 << 20, 64 << 10, 4 << 20};
// Frees the middle of a log beyond the limit; offsets stay what they are, the freed bytes read as zeros.
void cap_log(const fs::path& log, const LogLimits& limits);

// List of {path, bytes, changed_ms}: what lies below outputs/, data/, checkpoints/, tmp/, logs/ and
// incoming/, each by the name that remove_stored() takes. Links are not followed. What vanishes meanwhile is
// left out.
Result<Json> inventory(const HostFolder& host, const StopSignal& stop);

// Only below those folders. Renamed aside, then unlinked; a manifest beside it goes too. Absent is fine.
// `locked`: somebody writes this file of incoming/.
Status remove_stored(const HostFolder& host, std::string_view path);

// Everything of ours in the root, then the root and the folder of its store where nothing else is in them.
// Returns the names of what stays, because it is none of ours or cannot be removed. REQUIRES: the caller
// holds the lock and ends.
std::vector<std::string> forget_everything(const HostFolder& host);

}  // namespace gnnflow
