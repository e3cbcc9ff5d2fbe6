// The graph and the machine's limits that benchmarks share.
#include "tests/bench/bench_graph.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include <sys/mman.h>

namespace gnnflow::bench {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

struct Random {
  uint64_t key, i = 0;
  uint64_t next() { return draw(key, i++); }
};

std::vector<int64_t> draw_degrees(int64_t nodes) {
  Random random{42};
  std::vector<int64_t> degrees(static_cast<size_t>(nodes));
  for (int64_t& degree : degrees) {
    const double u = 1.0 - unit_of(random.next());
    degree = static_cast<int64_t>(std::min(17.0 / std::pow(u, 1 / 1.5), 17000.0));
  }
  return degrees;
}

}  // namespace

HugeMemory::HugeMemory(size_t bytes) : bytes_((bytes + kHugePage - 1) / kHugePage * kHugePage) {
  data_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data_ == MAP_FAILED) std::abort();
  madvise(data_, bytes_, MADV_HUGEPAGE);
}

HugeMemory::~HugeMemory() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

BenchGraph::BenchGraph(int64_t nodes)
    : nodes_(nodes), indptr_((static_cast<size_t>(nodes) + 1) * sizeof(int64_t)), indices_([&] {
        for (const int64_t degree : draw_degrees(nodes)) edges_ += degree;
        return static_cast<size_t>(edges_) * sizeof(int32_t);
      }()) {
  const std::vector<int64_t> degrees = draw_degrees(nodes);
  Random random{43};
  auto* indptr = indptr_.as<int64_t>();
  auto* out = indices_.as<int32_t>();
  const auto n = static_cast<uint64_t>(nodes);
  for (int64_t node = 0; node < nodes; ++node) {
    const int64_t degree = degrees[static_cast<size_t>(node)];
    indptr[node + 1] = indptr[node] + degree;
    for (int64_t i = 0; i < degree; ++i) {
      const uint64_t r = random.next();
      const bool near = (r & 1) != 0;
      *out++ =
          static_cast<int32_t>(near ? (static_cast<uint64_t>(node) + (r >> 8) % 20000) % n : below(r, n));
    }
  }
}

RowsView BenchGraph::view() const {
  return {.indptr = indptr_.as<int64_t>(),
          .indices32 = indices_.as<int32_t>(),
          .rows = nodes_,
          .node_limit = nodes_};
}

double random_loads(size_t table_bytes) {
  HugeMemory memory(table_bytes);
  const size_t lines = table_bytes / 64;
  auto* table = memory.as<uint64_t>();
  for (size_t i = 0; i < lines; ++i) table[i * 8] = i;
  constexpr size_t kLoads = 20'000'000;
  uint64_t sum = 0, key = 7;
  double best = 0;
  for (int round = 0; round < 3; ++round, ++key) {
    const double start = seconds_now();
    for (size_t i = 0; i < kLoads; ++i) sum += table[below(mum(key ^ kPickC3, i ^ kPickC4), lines) * 8];
    best = std::max(best, kLoads / (seconds_now() - start) / 1e6);
  }
  if (sum == 1) std::abort();  // the loads are used
  return best;
}

double random_row_copies(size_t table_bytes, size_t row_bytes) {
  HugeMemory memory(table_bytes);
  const size_t rows = table_bytes / row_bytes;
  auto* table = memory.as<char>();
  std::memset(table, 1, table_bytes);
  std::vector<char> out(64 * row_bytes);
  constexpr size_t kAhead = 12;
  const size_t copies = (size_t{2} << 30) / row_bytes;
  const auto row = [&](size_t i) { return table + below(mum(kPickC2 ^ i, kPickC4), rows) * row_bytes; };
  double best = 0;
  for (int round = 0; round < 3; ++round) {
    const double start = seconds_now();
    for (size_t i = 0; i < copies; ++i) {
      const char* ahead = row(i + kAhead);
      for (size_t line = 0; line < row_bytes; line += 64) __builtin_prefetch(ahead + line);
      std::memcpy(out.data() + i % 64 * row_bytes, row(i), row_bytes);
    }
    best = std::max(best, static_cast<double>(copies * row_bytes) / (seconds_now() - start) / 1e9);
  }
  return best;
}

}  // namespace gnnflow::bench
