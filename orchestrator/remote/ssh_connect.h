// Inside orchestrator/remote: TCP connections whose end is noticed, and waits that hear the stop signal.
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
// Until the descriptor has one of the events; 0 when the deadline passes first. Once `stop` is raised an
// error of its cause.
Result<short> wait_for(int descriptor, short events, Deadline deadline, const StopSignal* stop);
Error stopped_while_connecting(const StopSignal& stop);  // REQUIRES: raised
std::string numeric_address(const std::string& host);    // the host itself, when it is one; else empty
std::string peer_address(int socket);                    // numeric; empty when it cannot be told

}  // namespace gnnflow
