// Files that go out.
#pragma once

#include "common/wire/message.h"
#include "worker/receive/frames.h"
#include "worker/receive/put.h"

namespace gnnflow {

Told send_files(Frames& frames, const Json& request);

}  // namespace gnnflow
