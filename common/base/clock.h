// Time as a seam: the engine and the lease are tested with a clock that a test moves.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace gnnflow {

using Milliseconds = std::chrono::milliseconds;
using Monotonic = std::chrono::steady_clock::time_point;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Monotonic now() const = 0;
  virtual int64_t unix_milliseconds() const = 0;
};

const Clock& system_clock();

// A point in time that a wait must not pass.
class Deadline {
 public:
  static Deadline after(Milliseconds length);
  static Deadline never();
  bool passed() const;
  int poll_timeout() const;  // milliseconds for poll(2), -1 for never
  Milliseconds left() const;

 private:
  explicit Deadline(Monotonic at) : at_(at) {}
  Monotonic at_;
};

std::string format_time(int64_t unix_milliseconds);  // "2026-11-21 03:09:14", local time
std::string boot_id();                               // of this kernel's run; empty if unknown

}  // namespace gnnflow
