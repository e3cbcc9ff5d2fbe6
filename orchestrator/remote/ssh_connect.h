// Inside orchestrator/remote: TCP connections whose end is noticed.
#pragma once

#include <string>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/result.h"
#include "common/base/stop_signal.h"

namespace gnnflow {

// Every address of the name in turn, each as long as `each`. Non-blocking, no delay, and dead when the other
// end says nothing for 45 s. The error names each address and what it answered.
Result<FileDescriptor> connect_tcp(const std::string& host, int port, Milliseconds each, Deadline deadline,
                                   const StopSignal* stop);
std::string numeric_address(const std::string& host);  // the host itself, when it is one; else empty
std::string peer_address(int socket);                  // numeric; empty when it cannot be told

}  // namespace gnnflow
