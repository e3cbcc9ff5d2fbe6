// `gnnflow-worker relay`: joins stdin and stdout to a daemon's socket, so that one ssh channel reaches it.
#pragma once

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/result.h"

namespace gnnflow {

// Until end of file on either side, or until `silence` has passed without a byte from `in`: a controller
// beats every 2 s.
Status relay(int in, int out, int daemon, Milliseconds silence);

int relay_main(const fs::path& root);  // the exit code

}  // namespace gnnflow
