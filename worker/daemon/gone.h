// Is a job gone, with everything it has started? And making it so.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "worker/daemon/host_folder.h"

namespace gnnflow {

// A job is gone when its lock is free and two scans of all environments, 50 ms apart, find no process with
// its token: programs may close the descriptor that holds the lock, and a process may start another between
// one scan's beginning and its end.
Result<bool> is_gone(const HostFolder& host, std::string_view token);

// Kills until it is gone. `failed` names what is left at the deadline. Blocks at least 50 ms.
Status end_everything(const HostFolder& host, std::string_view token, Deadline deadline);

// Rounds of killing until two in a row find nothing. False at the deadline: a process that waits inside the
// kernel dies when that lets it go, which may be never. `round` kills, and says whether nothing was there.
bool kill_until_clean(const std::function<bool()>& round, Deadline deadline);

// SIGKILL to each other process of this user that carries the token; how many there were.
size_t kill_carriers(std::string_view token);

}  // namespace gnnflow
