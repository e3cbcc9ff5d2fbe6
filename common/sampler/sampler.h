// Samples batches of blocks hop by hop over anything that can draw neighbours.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/sampler/block.h"
#include "common/sampler/pick.h"

namespace gnnflow {

// Maps new ids to positions in a list, in order of first sight. A table of stamps: nothing is cleared between
// batches.
class Relabeller {
 public:
  explicit Relabeller(int64_t node_count);
  // nodes := first. A node that is out of range or stands twice is an error.
  Status start(std::span<const int32_t> first, Buffer<int32_t>& nodes);
  // Sources become positions; new ones are appended. REQUIRES: sources are in range, and `nodes` begins with
  // what it held after the last start() or add().
  void add(std::span<int32_t> sources, Buffer<int32_t>& nodes);

 private:
  void next_stamp();
  std::vector<uint64_t> slots_;  // stamp in the high half, position in the low
  uint32_t stamp_ = 0;
};

struct SampleOptions {
  std::vector<int> fanout;  // layer nearest the input first; -1: all
  std::string relation;
  bool relabel_leaves = true;
};

// Fills offsets and sources (new ids) of one hop: (layer key, fan-out, nodes, block). `offsets` holds its
// first 0 and `sources` is empty at the call; sources must be in range of the graph.
using DrawNeighbours =
    std::function<Status(uint64_t layer_key, int fanout, std::span<const int32_t> nodes, Block& block)>;

// One thread at a time. Buffers of `batch` are reused. Layers are numbered as the fan-outs stand: 0 is
// nearest the input.
class Sampler {
 public:
  Sampler(SampleOptions options, int64_t node_count, DrawNeighbours draw);
  // `seeds`: new ids, distinct.
  Status sample(const BatchKey& key, std::span<const int32_t> seeds, Batch& batch);

 private:
  SampleOptions options_;
  DrawNeighbours draw_;
  Relabeller relabeller_;
};

constexpr int kAllNeighbours = -1;  // as fan-out: the whole row

// The prefetching loop over rows that lie in memory: what MappedPart and the graph server call.
struct RowsView {
  const int64_t* indptr = nullptr;     // [rows + 1]
  const int32_t* indices32 = nullptr;  // one of the two
  const int64_t* indices64 = nullptr;
  int64_t rows = 0;
  int64_t node_limit = 0;  // indices must be below it
  // original id of row r: originals[r] when there are any, else r
  const int32_t* originals32 = nullptr;
  const int64_t* originals64 = nullptr;
};
// `first`: new id of row 0. Appends to sources, and one offset per node to offsets (which already holds its
// first). bad_data names the position of an index out of range.
Status draw_rows(const RowsView& rows, uint64_t layer_key, int fanout, std::span<const int32_t> nodes,
                 int64_t first, Buffer<int32_t>& offsets, Buffer<int32_t>& sources);
// How many edges draw_rows would give: a bound for fan-outs, exact for kAllNeighbours. REQUIRES: nodes are in
// range.
int64_t bound_of_edges(const RowsView& rows, int fanout, std::span<const int32_t> nodes, int64_t first);

}  // namespace gnnflow
