// What becomes of an exception that nobody catches, on whatever thread.
#pragma once

#include <functional>

#include "common/base/result.h"

namespace gnnflow {

// From now on such an exception ends the program with one line on stderr and the exit code of its cause: lack
// of memory or threads is `no_resources`, all else a bug. `tell`, if any, is called first, on the thread that
// threw, and says that line itself: it reports to a daemon. Call it once more to change `tell`; no other
// thread may run then.
void end_on_lost_exceptions(std::function<void(const Error&)> tell = {});

}  // namespace gnnflow
