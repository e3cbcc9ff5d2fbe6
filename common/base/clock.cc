// The clock of the system, deadlines, and the id of this boot.
#include "common/base/clock.h"

#include <algorithm>
#include <climits>
#include <ctime>
#include <fstream>

#include <fmt/format.h>

namespace gnnflow {
namespace {

class SystemClock : public Clock {
 public:
  Monotonic now() const override { return std::chrono::steady_clock::now(); }
  int64_t unix_milliseconds() const override {
    auto since = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<Milliseconds>(since).count();
  }
};

}  // namespace

const Clock& system_clock() {
  static const SystemClock clock;
  return clock;
}

Deadline Deadline::after(Milliseconds length) {
  Monotonic now = system_clock().now();
  auto room = std::chrono::duration_cast<Milliseconds>(Monotonic::max() - now);
  return length >= room ? never() : Deadline(now + length);
}

Deadline Deadline::never() { return Deadline(Monotonic::max()); }

bool Deadline::passed() const { return at_ != Monotonic::max() && system_clock().now() >= at_; }

int Deadline::poll_timeout() const {
  if (at_ == Monotonic::max()) return -1;
  return static_cast<int>(std::min<int64_t>(left().count(), INT_MAX));
}

Milliseconds Deadline::left() const {
  if (at_ == Monotonic::max()) return Milliseconds::max();
  // Rounded up: a poll that returns early would spin through the last millisecond.
  auto rest = std::chrono::ceil<Milliseconds>(at_ - system_clock().now());
  return std::max(rest, Milliseconds(0));
}

std::string format_time(int64_t unix_milliseconds) {
  // Downwards, so that times before 1970 do not jump.
  std::time_t seconds = std::chrono::floor<std::chrono::seconds>(Milliseconds(unix_milliseconds)).count();
  std::tm local{};
  if (!localtime_r(&seconds, &local)) return fmt::format("@{}", seconds);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", local.tm_year + 1900, local.tm_mon + 1,
                     local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec);
}

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

}  // namespace gnnflow
