// Files that come in: looked at, locked, gathered, checked, made durable.
#pragma once

#include "common/base/result.h"
#include "common/wire/message.h"
#include "worker/receive/frames.h"

namespace gnnflow {

constexpr Milliseconds kSilence{60'000};

// The whole conversation of one `put` up to its `done`; what the reply says is up to the caller. An error
// that is `gone` ends the program, all others are told.
struct Told {
  Status status;
  bool gone = false;  // nobody is there any more
};
Told receive_files(Frames& frames, Ticker& ticker, const Json& request);

}  // namespace gnnflow
