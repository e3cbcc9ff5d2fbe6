// Inside orchestrator/remote: what a daemon has said last, for the errors of those who could not start it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace gnnflow {

constexpr int64_t kMostDaemonLog = 32 << 20;    // a longer one is not read: gnnflow-receive refuses it
std::string last_lines(std::string_view text);  // five, on one line

}  // namespace gnnflow
