// A graph of the products-small shape in memory, and the limits of the machine that benchmarks are compared
// with.
#pragma once

#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

#include "common/sampler/sampler.h"

namespace gnnflow::bench {

inline double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Memory in huge pages where the kernel gives them; zeroed, freed at the end.
class HugeMemory {
 public:
  explicit HugeMemory(size_t bytes);
  HugeMemory(HugeMemory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}
  HugeMemory& operator=(HugeMemory&&) = delete;
  ~HugeMemory();
  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_;
  size_t bytes_;
};

// Degrees follow a power law with mean near 50; half of the neighbours are near by, half anywhere.
class BenchGraph {
 public:
  explicit BenchGraph(int64_t nodes);
  RowsView view() const;
  int64_t nodes() const { return nodes_; }
  int64_t edges() const { return edges_; }

 private:
  int64_t nodes_, edges_ = 0;
  HugeMemory indptr_;
  HugeMemory indices_;
};

// Million independent random loads of 64-byte lines a second, on this thread.
double random_loads(size_t table_bytes);
// GB/s of copying random rows of `row_bytes` to a small buffer.
double random_row_copies(size_t table_bytes, size_t row_bytes);

}  // namespace gnnflow::bench
