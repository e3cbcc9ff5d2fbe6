// A range of work cut over threads. What is computed must not depend on the cut.
#pragma once

#include <algorithm>
#include <cstdint>
#include <thread>
#include <vector>

namespace gnnflow {

// work(begin, end) for slices that together are [0, count).
template <typename Work>
void in_parallel(int64_t count, int threads, Work work) {
  const int64_t slices = std::clamp<int64_t>(threads, 1, std::max<int64_t>(count, 1));
  std::vector<std::jthread> others;
  for (int64_t slice = 1; slice < slices; ++slice) {
    others.emplace_back([=, &work] { work(count * slice / slices, count * (slice + 1) / slices); });
  }
  work(0, count / slices);
}

}  // namespace gnnflow
