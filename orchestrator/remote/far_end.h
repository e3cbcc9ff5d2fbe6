// Inside orchestrator/remote: what the thread of a connection tells about a far program, for those who wait.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "orchestrator/remote/ssh_session.h"

namespace gnnflow {

// Any thread.
struct FarEnd::State {
  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  std::optional<int> status;  // guarded by mutex
  std::string words;          // guarded by mutex: the last of stderr
  std::string broken;         // guarded by mutex: why the connection ended

  void say(std::string_view text);
  void finish(int code, const std::string& why);  // the first counts
};

}  // namespace gnnflow
