// `gnnflow-worker relay`: joins stdin and stdout to a daemon's socket, so that one ssh channel reaches it.
#pragma once

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/result.h"

namespace gnnflow {

// Until end of file on either side, or until `silence` has passed without a byte from `in`: a controller
// beats every 2 s.
Status relay(int in, int out, int daemon, Milliseconds silence);

// Says the line "gnnflow-ready 1" first, once the daemon's socket is there. Returns the exit code; 6 when it
// is not.
int relay_main(const fs::path& root);

}  // namespace gnnflow
