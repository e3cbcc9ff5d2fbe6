// The loops of sampling. Both are bound by memory: each touches in advance what it will read a few rounds
// later.
#include "common/sampler/sampler.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

namespace gnnflow {
namespace {

constexpr size_t kOffsetsAhead = 24;  // nodes between touching a row's offsets and reading them
constexpr size_t kPicksAhead =
    8;  // nodes between drawing positions and reading the indices there; a power of two
constexpr size_t kRelabelAhead = 24;  // sources between touching a slot and using it
constexpr int kFastFanout = 64;       // beyond: the plain way
constexpr uint32_t kNoPosition = ~0u;
constexpr int64_t kMaxEdges = std::numeric_limits<int32_t>::max();

inline void touch(const void* address) { __builtin_prefetch(address); }

int64_t original_of(const RowsView& rows, int64_t row) {
  if (rows.originals32 != nullptr) return rows.originals32[row];
  if (rows.originals64 != nullptr) return rows.originals64[row];
  return row;
}

Error node_out_of_range(int32_t node, const RowsView& rows, int64_t first) {
  return {Cause::bad_data,
          fmt::format("node {} is not one of the nodes {} to {}", node, first, first + rows.rows - 1)};
}

template <typename T>
Error index_out_of_range(const RowsView& rows, const T* row, const T* base, int64_t degree) {
  for (int64_t i = 0; i < degree; ++i) {
    if (static_cast<uint64_t>(row[i]) >= static_cast<uint64_t>(rows.node_limit)) {
      return {Cause::bad_data, fmt::format("position {} of indices is {}, but there are {} nodes",
                                           row - base + i, row[i], rows.node_limit)};
    }
  }
  bug("index_out_of_range: all are in range");
}

// One node on its way through the pipeline: its positions are drawn, its lines are coming.
template <typename T, int Width>
struct Drawn {
  const T* row;
  int64_t degree;
  int count;
  bool all;  // positions are 0 .. count
  alignas(64) uint32_t positions[Width];
};

// Floyd's method with the test "taken?" as one fixed-length comparison: unused places hold no position.
template <typename T, int Width>
void draw_positions(uint64_t key, int k, Drawn<T, Width>& out) {
  for (int q = 0; q < Width; ++q) out.positions[q] = kNoPosition;
  const auto low = static_cast<uint64_t>(out.degree - k);
  for (int j = 0; j < k; ++j) {
    auto position =
        static_cast<uint32_t>(below(draw(key, static_cast<uint64_t>(j)), low + static_cast<uint64_t>(j) + 1));
    uint32_t taken = 0;
    for (int q = 0; q < Width; ++q) taken |= out.positions[q] == position ? 1u : 0u;
    position = taken != 0 ? static_cast<uint32_t>(low) + static_cast<uint32_t>(j) : position;
    out.positions[j] = position;
    touch(out.row + position);
  }
}

template <typename T, int Width>
void begin_node(const RowsView& rows, const T* indices, uint64_t layer_key, int k, int64_t row,
                Drawn<T, Width>& out) {
  const int64_t begin = rows.indptr[row];
  out.row = indices + begin;
  out.degree = rows.indptr[row + 1] - begin;
  out.all = out.degree <= k;
  out.count = out.all ? static_cast<int>(out.degree) : k;
  if (out.all) {
    for (int64_t i = 0; i < out.degree; i += 64 / static_cast<int64_t>(sizeof(T))) touch(out.row + i);
  } else {
    draw_positions(node_key(layer_key, static_cast<uint64_t>(original_of(rows, row))), k, out);
  }
}

template <typename T, int Width>
bool copy_node(const Drawn<T, Width>& drawn, uint64_t limit, int32_t* out) {
  bool bad = false;
  if (drawn.all) {
    for (int j = 0; j < drawn.count; ++j) {
      const T index = drawn.row[j];
      bad |= static_cast<std::make_unsigned_t<T>>(index) >= limit;
      out[j] = static_cast<int32_t>(index);
    }
  } else {
    for (int j = 0; j < drawn.count; ++j) {
      const T index = drawn.row[drawn.positions[j]];
      bad |= static_cast<std::make_unsigned_t<T>>(index) >= limit;
      out[j] = static_cast<int32_t>(index);
    }
  }
  return !bad;
}

template <typename T, int Width>
Status draw_fast(const RowsView& rows, const T* indices, uint64_t layer_key, int k,
                 std::span<const int32_t> nodes, int64_t first, Buffer<int32_t>& offsets,
                 Buffer<int32_t>& sources) {
  Drawn<T, Width> ring[kPicksAhead];
  const size_t n = nodes.size();
  const auto limit = static_cast<uint64_t>(rows.node_limit);
  int32_t* const out_begin = sources.data();
  int32_t* out = out_begin + sources.size();
  int32_t* out_offset = offsets.data() + offsets.size();
  for (size_t i = 0; i < n + kPicksAhead; ++i) {
    if (i >= kPicksAhead) {
      const Drawn<T, Width>& drawn = ring[i % kPicksAhead];
      if (!copy_node(drawn, limit, out)) return index_out_of_range(rows, drawn.row, indices, drawn.degree);
      out += drawn.count;
      *out_offset++ = static_cast<int32_t>(out - out_begin);
    }
    if (i + kOffsetsAhead < n) {
      const int64_t row = nodes[i + kOffsetsAhead] - first;
      touch(rows.indptr + row);
      if (rows.originals32 != nullptr) touch(rows.originals32 + row);
      if (rows.originals64 != nullptr) touch(rows.originals64 + row);
    }
    if (i < n) {
      const int64_t row = nodes[i] - first;
      if (static_cast<uint64_t>(row) >= static_cast<uint64_t>(rows.rows))
        return node_out_of_range(nodes[i], rows, first);
      begin_node(rows, indices, layer_key, k, row, ring[i % kPicksAhead]);
    }
  }
  sources.resize(static_cast<size_t>(out - out_begin));
  offsets.resize(offsets.size() + n);
  return {};
}

// Whole rows, and fan-outs too large for the fast way.
template <typename T>
Status draw_plain(const RowsView& rows, const T* indices, uint64_t layer_key, int fanout,
                  std::span<const int32_t> nodes, int64_t first, Buffer<int32_t>& offsets,
                  Buffer<int32_t>& sources) {
  std::vector<int64_t> positions(fanout == kAllNeighbours ? 0 : static_cast<size_t>(fanout));
  int32_t* out = sources.data() + sources.size();
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (i + kPicksAhead < nodes.size()) touch(rows.indptr + (nodes[i + kPicksAhead] - first));
    const int64_t row = nodes[i] - first;
    const int64_t begin = rows.indptr[row], degree = rows.indptr[row + 1] - begin;
    const int64_t count = fanout == kAllNeighbours ? degree : std::min<int64_t>(degree, fanout);
    if (count < degree) {
      const uint64_t key = node_key(layer_key, static_cast<uint64_t>(original_of(rows, row)));
      pick_positions(key, degree, fanout, positions.data());
    }
    for (int64_t j = 0; j < count; ++j) {
      const T index = indices[begin + (count < degree ? positions[static_cast<size_t>(j)] : j)];
      if (static_cast<uint64_t>(index) >= static_cast<uint64_t>(rows.node_limit)) {
        return index_out_of_range(rows, indices + begin, indices, degree);
      }
      *out++ = static_cast<int32_t>(index);
    }
    offsets.push_back(static_cast<int32_t>(out - sources.data()));
  }
  sources.resize(static_cast<size_t>(out - sources.data()));
  return {};
}

template <typename T>
Status draw_as(const RowsView& rows, const T* indices, uint64_t layer_key, int fanout,
               std::span<const int32_t> nodes, int64_t first, Buffer<int32_t>& offsets,
               Buffer<int32_t>& sources) {
  const auto fast = [&](auto width) {
    return draw_fast<T, decltype(width)::value>(rows, indices, layer_key, fanout, nodes, first, offsets,
                                                sources);
  };
  if (fanout < 0 || fanout > kFastFanout) {
    return draw_plain(rows, indices, layer_key, fanout, nodes, first, offsets, sources);
  }
  if (fanout <= 8) return fast(std::integral_constant<int, 8>{});
  if (fanout <= 16) return fast(std::integral_constant<int, 16>{});
  if (fanout <= 32) return fast(std::integral_constant<int, 32>{});
  return fast(std::integral_constant<int, kFastFanout>{});
}

}  // namespace

int64_t bound_of_edges(const RowsView& rows, int fanout, std::span<const int32_t> nodes, int64_t first) {
  if (fanout != kAllNeighbours) return static_cast<int64_t>(nodes.size()) * fanout;
  int64_t edges = 0;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (i + kOffsetsAhead < nodes.size()) touch(rows.indptr + (nodes[i + kOffsetsAhead] - first));
    const int64_t row = nodes[i] - first;
    edges += rows.indptr[row + 1] - rows.indptr[row];
  }
  return edges;
}

Status draw_rows(const RowsView& rows, uint64_t layer_key, int fanout, std::span<const int32_t> nodes,
                 int64_t first, Buffer<int32_t>& offsets, Buffer<int32_t>& sources) {
  if (fanout < kAllNeighbours || fanout > kMaxFanout) {
    return Error{Cause::bad_workflow,
                 fmt::format("fan-out {}: give -1 (all) or 0 to {}", fanout, kMaxFanout)};
  }
  if (fanout == kAllNeighbours || fanout > kFastFanout) {  // the fast way checks as it goes
    for (const int32_t node : nodes) {
      if (node < first || node - first >= rows.rows) return node_out_of_range(node, rows, first);
    }
  }
  const int64_t bound = bound_of_edges(rows, fanout, nodes, first);
  if (bound + static_cast<int64_t>(sources.size()) > kMaxEdges) {
    return Error{
        Cause::no_resources,
        fmt::format("{} nodes with fan-out {} have up to {} edges, more than a block holds ({}): use a "
                    "smaller batch or fan-out",
                    nodes.size(), fanout, bound, kMaxEdges)};
  }
  sources.reserve(sources.size() + static_cast<size_t>(bound));
  offsets.reserve(offsets.size() + nodes.size());
  return rows.indices32 != nullptr
             ? draw_as(rows, rows.indices32, layer_key, fanout, nodes, first, offsets, sources)
             : draw_as(rows, rows.indices64, layer_key, fanout, nodes, first, offsets, sources);
}

Relabeller::Relabeller(int64_t node_count) : slots_(static_cast<size_t>(node_count), 0) {}

void Relabeller::next_stamp() {
  if (++stamp_ == 0) {  // once in 2^32 batches
    std::fill(slots_.begin(), slots_.end(), 0);
    stamp_ = 1;
  }
}

Status Relabeller::start(std::span<const int32_t> first, Buffer<int32_t>& nodes) {
  next_stamp();
  nodes.resize(first.size());
  for (size_t i = 0; i < first.size(); ++i) {
    if (i + kRelabelAhead < first.size()) touch(slots_.data() + first[i + kRelabelAhead]);
    if (first[i] < 0 || static_cast<size_t>(first[i]) >= slots_.size()) {
      return Error{Cause::bad_data, fmt::format("seed {} (node {}) is out of range: there are {} nodes", i,
                                                first[i], slots_.size())};
    }
    uint64_t& slot = slots_[static_cast<size_t>(first[i])];
    if (slot >> 32 == stamp_)
      return Error{Cause::bad_data, fmt::format("node {} stands twice among the seeds", first[i])};
    slot = uint64_t{stamp_} << 32 | i;
    nodes[i] = first[i];
  }
  return {};
}

void Relabeller::add(std::span<int32_t> sources, Buffer<int32_t>& nodes) {
  nodes.reserve(nodes.size() + sources.size());
  const uint64_t stamp = uint64_t{stamp_} << 32;
  uint64_t* const slots = slots_.data();
  int32_t* const list = nodes.data();
  uint64_t size = nodes.size();
  const size_t n = sources.size();
  // Without a branch on "new": it would be guessed wrong again and again.
  const auto relabel = [&](int32_t& source) {
    uint64_t& slot = slots[source];
    const bool fresh = (slot ^ stamp) >> 32 != 0;
    list[size] = source;
    const uint64_t value = fresh ? stamp | size : slot;
    slot = value;
    size += fresh ? 1 : 0;
    source = static_cast<int32_t>(value);
  };
  const size_t touched = n > kRelabelAhead ? n - kRelabelAhead : 0;
  for (size_t i = 0; i < touched; ++i) {
    touch(slots + sources[i + kRelabelAhead]);
    relabel(sources[i]);
  }
  for (size_t i = touched; i < n; ++i) relabel(sources[i]);
  nodes.resize(size);
}

Sampler::Sampler(SampleOptions options, int64_t node_count, DrawNeighbours draw)
    : options_(std::move(options)), draw_(std::move(draw)), relabeller_(node_count) {}

Status Sampler::sample(const BatchKey& key, std::span<const int32_t> seeds, Batch& batch) {
  const size_t layers = options_.fanout.size();
  batch.blocks.resize(layers);
  batch.nodes.resize(layers + 1);
  TRY(relabeller_.start(seeds, batch.nodes[layers]));
  for (size_t layer = layers; layer-- > 0;) {
    const Buffer<int32_t>& destinations = batch.nodes[layer + 1];
    Block& block = batch.blocks[layer];
    block.offsets.resize(1);
    block.offsets[0] = 0;
    block.sources.clear();
    block.relabelled = layer > 0 || options_.relabel_leaves;
    TRY(draw_(layer_key(key, static_cast<int>(layer), options_.relation), options_.fanout[layer],
              destinations.span(), block));

    Buffer<int32_t>& nodes = batch.nodes[layer];
    nodes.resize(destinations.size());
    std::copy(destinations.begin(), destinations.end(), nodes.begin());
    if (block.relabelled) relabeller_.add(block.sources.span(), nodes);
  }
  return {};
}

}  // namespace gnnflow
