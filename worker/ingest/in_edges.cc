// Counting sort of edges by destination. Within a destination the entries stand by (row, forward before
// reverse), because rows are placed in order; so nothing else is sorted. A slice of destinations that fits
// into memory is built at a time:
//
//   count entries per destination -> cut destinations into slices -> per slice: place, drop duplicates, write
#include "worker/ingest/in_edges.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

namespace gnnflow {
namespace {

struct Slice {
  std::vector<int64_t> indptr;   // of its destinations, from 0
  std::vector<int32_t> sources;  // places in it: below 2^31 entries
  std::vector<int64_t> rows;
};

class InEdges {
 public:
  InEdges(const EdgeList& edges, const InEdgeOptions& options) : edges_(edges), options_(options) {}

  Status count();
  // [begin, end) of destinations of the next slice.
  int64_t slice_end(int64_t begin) const;
  void build(int64_t begin, int64_t end, Slice& slice);

 private:
  // visit(destination, source, row) for every entry, in order.
  template <typename Visit>
  void each_entry(Visit visit) const {
    const bool drop_loops = options_.self_loops == SelfLoops::drop;
    for (int64_t row = 0; row < edges_.source.size(); ++row) {
      const int64_t source = edges_.source[row], destination = edges_.destination[row];
      if (source == destination) {
        if (!drop_loops) visit(destination, source, row);
        continue;
      }
      visit(destination, source, row);
      if (options_.undirected) visit(source, destination, row);
    }
  }
  void drop_duplicates(int64_t begin, Slice& slice);

  const EdgeList& edges_;
  const InEdgeOptions& options_;
  std::vector<int64_t> entries_;  // per destination, before duplicates are dropped
  std::vector<uint32_t> last_;    // per source: the last destination that had it, + 1
};

Status InEdges::count() {
  entries_.assign(static_cast<size_t>(edges_.nodes), options_.self_loops == SelfLoops::add ? 1 : 0);
  if (options_.undirected || options_.self_loops == SelfLoops::add)
    last_.assign(static_cast<size_t>(edges_.nodes), 0);
  each_entry([&](int64_t destination, int64_t, int64_t) { ++entries_[static_cast<size_t>(destination)]; });
  const auto most = std::max_element(entries_.begin(), entries_.end());
  if (most != entries_.end() && *most > options_.entries_at_once) {
    return Error{Cause::no_resources,
                 fmt::format("node {} has {} in-edges, more than fit into memory at once",
                             most - entries_.begin(), *most)};
  }
  return {};
}

int64_t InEdges::slice_end(int64_t begin) const {
  int64_t end = begin, sum = 0;
  while (end < edges_.nodes && sum + entries_[static_cast<size_t>(end)] <= options_.entries_at_once) {
    sum += entries_[static_cast<size_t>(end++)];
  }
  return end;
}

void InEdges::build(int64_t begin, int64_t end, Slice& slice) {
  slice.indptr.assign(1, 0);
  for (int64_t i = begin; i < end; ++i)
    slice.indptr.push_back(slice.indptr.back() + entries_[static_cast<size_t>(i)]);
  slice.sources.resize(static_cast<size_t>(slice.indptr.back()));
  slice.rows.resize(slice.sources.size());
  std::vector<int64_t> next(slice.indptr.begin(), slice.indptr.end() - 1);
  const auto place = [&](int64_t destination, int64_t source, int64_t row) {
    if (destination < begin || destination >= end) return;
    const auto at = static_cast<size_t>(next[static_cast<size_t>(destination - begin)]++);
    slice.sources[at] = static_cast<int32_t>(source);
    slice.rows[at] = row;
  };
  each_entry(place);
  if (options_.self_loops == SelfLoops::add) {  // rows of their own, after those of the source
    for (int64_t i = begin; i < end; ++i) place(i, i, edges_.source.size() + i);
  }
  drop_duplicates(begin, slice);
}

// Keeps the first of equal entries of a destination: of all, in an undirected graph, else only of self loops
// that were added.
void InEdges::drop_duplicates(int64_t begin, Slice& slice) {
  if (last_.empty()) return;
  const auto destinations = static_cast<int64_t>(slice.indptr.size()) - 1;
  size_t kept = 0;
  for (int64_t i = 0; i < destinations; ++i) {
    const auto from = static_cast<size_t>(slice.indptr[static_cast<size_t>(i)]);
    const auto to = static_cast<size_t>(slice.indptr[static_cast<size_t>(i) + 1]);
    slice.indptr[static_cast<size_t>(i)] = static_cast<int64_t>(kept);
    for (size_t at = from; at < to; ++at) {
      const int32_t source = slice.sources[at];
      uint32_t& last = last_[static_cast<size_t>(source)];
      const auto mark = static_cast<uint32_t>(begin + i + 1);
      const bool added = slice.rows[at] >= edges_.source.size();
      if (last == mark && (options_.undirected || added)) continue;
      last = mark;
      slice.sources[kept] = source;
      slice.rows[kept++] = slice.rows[at];
    }
  }
  slice.indptr.back() = static_cast<int64_t>(kept);
  slice.sources.resize(kept);
  slice.rows.resize(kept);
  // A slice may be built twice: its marks must not meet it again.
  for (const int32_t source : slice.sources) last_[static_cast<size_t>(source)] = 0;
}

struct Sizes {
  std::vector<int64_t> indptr{0};
  std::vector<int64_t> ends;  // of slices
};

Sizes measure(InEdges& sorter, int64_t nodes, Slice& slice, const ProgressSink& progress) {
  Sizes sizes;
  for (int64_t begin = 0; begin < nodes;) {
    const int64_t end = sorter.slice_end(begin);
    sorter.build(begin, end, slice);
    const int64_t before = sizes.indptr.back();
    for (size_t i = 1; i < slice.indptr.size(); ++i) sizes.indptr.push_back(before + slice.indptr[i]);
    sizes.ends.push_back(end);
    progress({"sorting edges", end, nodes, "nodes", ""});
    begin = end;
  }
  return sizes;
}

Status write_slice(const Slice& slice, ArrayWriter& indices, ArrayWriter& ids) {
  std::vector<int64_t> wide;
  constexpr size_t kChunk = 1 << 16;
  for (size_t begin = 0; begin < slice.sources.size(); begin += kChunk) {
    const size_t count = std::min(kChunk, slice.sources.size() - begin);
    wide.assign(slice.sources.begin() + static_cast<ptrdiff_t>(begin),
                slice.sources.begin() + static_cast<ptrdiff_t>(begin + count));
    TRY(indices.write_ids(wide));
  }
  return ids.write_ids(slice.rows);
}

}  // namespace

Status write_in_edges(const EdgeList& edges, const InEdgeOptions& options, std::string_view relation,
                      GraphWriter& writer, const ProgressSink& progress) {
  if (dtype_for_ids(edges.nodes) != Dtype::i4) {
    return Error{Cause::no_resources, fmt::format("{} nodes of one type are more than 2^31", edges.nodes)};
  }
  InEdges sorter(edges, options);
  TRY(sorter.count());
  Slice slice;
  Sizes sizes = measure(sorter, edges.nodes, slice, progress);
  const int64_t total = sizes.indptr.back();
  const int64_t added = options.self_loops == SelfLoops::add ? edges.nodes : 0;

  const std::string folder = fmt::format("edges/{}/", relation);
  const fs::path& at = writer.folder();
  TRY(auto indices, ArrayWriter::create(at, folder + "indices.npy", dtype_for_ids(edges.nodes), {total}));
  TRY(auto ids,
      ArrayWriter::create(at, folder + "edge_ids.npy", dtype_for_ids(edges.source.size() + added), {total}));
  int64_t begin = 0;
  for (const int64_t end : sizes.ends) {
    if (sizes.ends.size() > 1) sorter.build(begin, end, slice);
    TRY(write_slice(slice, indices, ids));
    progress({"writing edges", sizes.indptr[static_cast<size_t>(end)], total, "edges", ""});
    begin = end;
  }
  TRY(auto indices_info, indices.finish());
  TRY(auto ids_info, ids.finish());
  TRY(auto indptr_info, write_array(at, folder + "indptr.npy", Dtype::i8, {edges.nodes + 1},
                                    std::span<const int64_t>(sizes.indptr)));
  for (ArrayInfo* info : {&indices_info, &ids_info, &indptr_info}) writer.add(std::move(*info));
  writer.index().edges[std::string(relation)] = total;
  return {};
}

}  // namespace gnnflow
