// The lease's arithmetic.
#include "worker/daemon/lease.h"

#include <algorithm>

namespace gnnflow {
namespace {

constexpr Milliseconds kNearLease{30'000};
constexpr Milliseconds kLongest{std::chrono::hours(24 * 365)};  // keeps sums of times inside their type

Milliseconds bounded(Milliseconds length) { return std::clamp(length, Milliseconds(1), kLongest); }

}  // namespace

Lease::Lease(const Clock& clock, Milliseconds length, Distance distance)
    : clock_(clock), length_(bounded(length)), distance_(distance), ends_(clock.now() + length_) {}

void Lease::renew(Milliseconds length) {
  length_ = bounded(length);
  ends_ = clock_.now() + length_;
}

void Lease::connection_lost() {
  if (distance_ == Distance::near) ends_ = std::min(ends_, clock_.now() + kNearLease);
}

Milliseconds Lease::left() const {
  return std::max(Milliseconds(0), std::chrono::ceil<Milliseconds>(ends_ - clock_.now()));
}

}  // namespace gnnflow
