// The job `serve`: a graph server under its daemon.
#pragma once

#include "common/wire/job_channel.h"

namespace gnnflow {

// Takes `keys` and `port` from the channel, reports `ready`, applies each `allow`, and serves until it is
// cancelled. Returns the exit code.
int serve_job(const Task& task, JobChannel& channel);

}  // namespace gnnflow
