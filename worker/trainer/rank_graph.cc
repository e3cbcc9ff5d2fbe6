// Opens what a rank needs of a partition.
#include "worker/trainer/rank_graph.h"

#include <limits>

#include <fmt/format.h>

namespace gnnflow {
namespace {

const Array& array_of(const Split& split, SplitName name) {
  return name == SplitName::train ? split.train : name == SplitName::val ? split.val : split.test;
}

std::pair<int64_t, int64_t> slice_of(int64_t count, const SeedShare& share) {
  const auto at = [&](int64_t slice) {
    return static_cast<int64_t>(static_cast<__int128>(count) * slice / share.slices);
  };
  return {at(share.slice), at(share.slice + 1)};
}

}  // namespace

Result<RankPlace> read_place(const Json& spec) {
  const auto bad = [](std::string message) {
    return Error{Cause::bad_usage, "task.json: " + std::move(message)};
  };
  RankPlace place;
  if (!spec.get("inputs").get("partition").is_string()) return bad("inputs.partition is missing");
  place.partition = spec.get("inputs").get("partition").string();
  place.rank = static_cast<int>(spec.integer_or("rank", 0));
  place.ranks = static_cast<int>(spec.integer_or("ranks", 1));
  place.address = spec.text_or("address", place.address);
  place.threads = static_cast<int>(spec.integer_or("threads", 1));
  if (place.ranks < 1 || place.rank < 0 || place.rank >= place.ranks) {
    return bad(fmt::format("rank {} of {} ranks", place.rank, place.ranks));
  }
  if (place.threads < 1) return bad(fmt::format("threads is {}", place.threads));
  if (!spec.get("parts_here").is_array() || !spec.get("seeds").is_array())
    return bad("parts_here and seeds must be lists");
  for (const Json& part : spec.get("parts_here").array()) {
    if (!part.is_integer()) return bad("parts_here must hold integers");
    place.parts_here.push_back(static_cast<int>(part.integer()));
  }
  for (const Json& one : spec.get("seeds").array()) {
    SeedShare share;
    share.part = static_cast<int>(one.integer_or("part", -1));
    share.slice = one.integer_or("slice", 0);
    share.slices = one.integer_or("slices", 1);
    if (share.slices < 1 || share.slice < 0 || share.slice >= share.slices)
      return bad("bad slice in seeds: " + one.dump());
    place.seeds.push_back(share);
  }
  return place;
}

Result<RankPlace> place_of_whole_partition(const fs::path& partition, int threads) {
  TRY(const auto opened, PartitionDir::open(partition));
  RankPlace place;
  place.partition = partition;
  place.threads = threads;
  for (int part = 0; part < opened.index().parts; ++part) {
    place.parts_here.push_back(part);
    place.seeds.push_back({part, 0, 1});
  }
  return place;
}

Result<RankGraph> RankGraph::open(const RankPlace& place) {
  RankGraph graph;
  graph.place_ = place;
  TRY(graph.partition_, PartitionDir::open(place.partition));
  const PartitionIndex& index = graph.partition_.index();
  const auto& ranges = graph.partition_.ranges();
  if (ranges.count() > std::numeric_limits<int32_t>::max()) {
    return Error{Cause::bad_data, fmt::format("{}: {} nodes of one type are more than training supports",
                                              place.partition.string(), ranges.count())};
  }
  const auto known = [](const std::map<std::string, int64_t>& map) {
    const auto found = map.find(std::string(kNodeType));
    return found == map.end() ? int64_t{0} : found->second;
  };
  graph.shape_ = {known(index.feature_columns), known(index.classes)};
  TRY(graph.partition_.check_maps());  // rows are written, and asked for, by what they say
  graph.originals_ = IdView(graph.partition_.original_of_new());
  graph.news_ = IdView(graph.partition_.new_of_original());
  for (const int part : place.parts_here) {
    if (part < 0 || part >= index.parts) {
      return Error{Cause::bad_usage, fmt::format("part {} is not one of the {} parts of {}", part,
                                                 index.parts, place.partition.string())};
    }
    TRY(auto opened, graph.partition_.open_part(part));
    graph.parts_.emplace(part, Owned{std::move(opened), ranges.begin[static_cast<size_t>(part)]});
  }
  for (const SeedShare& share : place.seeds) {
    const auto found = graph.parts_.find(share.part);
    if (found == graph.parts_.end()) {
      return Error{Cause::bad_usage,
                   fmt::format("rank {}: its part {} is not on this host", place.rank, share.part)};
    }
    const auto [begin, end] = slice_of(found->second.graph.node().count, share);
    graph.own_.push_back({share.part, found->second.begin + begin, found->second.begin + end});
    const auto& splits = found->second.graph.node().splits;
    if (graph.scheme_.empty() && !splits.empty()) {
      graph.scheme_ = splits.contains("default") ? "default" : splits.begin()->first;
    }
  }
  return graph;
}

const RankGraph::Owned& RankGraph::owned(int64_t node) const {
  const auto found = parts_.find(partition_.ranges().owner_of(node));
  if (found == parts_.end()) bug(fmt::format("node {} is asked of a part that is not here", node));
  return found->second;
}

std::vector<int32_t> RankGraph::split(SplitName name) const {
  std::vector<int32_t> nodes;
  for (const SeedShare& share : place_.seeds) {
    const Owned& part = parts_.at(share.part);
    const auto& splits = part.graph.node().splits;
    const auto found = splits.find(scheme_);
    if (found == splits.end()) continue;
    const Array& rows = array_of(found->second, name);
    if (!rows.present()) continue;
    const auto [begin, end] = slice_of(rows.rows(), share);
    for (int64_t i = begin; i < end; ++i) nodes.push_back(static_cast<int32_t>(part.begin + rows.integer(i)));
  }
  return nodes;
}

std::vector<int32_t> RankGraph::split_of_own(SplitName name) const {
  std::vector<int32_t> nodes;
  for (const NodeRange& range : own_) {
    const Owned& part = parts_.at(range.part);
    const auto& splits = part.graph.node().splits;
    const auto found = splits.find(scheme_);
    if (found == splits.end()) continue;
    const Array& rows = array_of(found->second, name);
    if (!rows.present()) continue;
    for (int64_t i = 0; i < rows.rows(); ++i) {
      const int64_t node = part.begin + rows.integer(i);
      if (node >= range.begin && node < range.end) nodes.push_back(static_cast<int32_t>(node));
    }
  }
  return nodes;
}

int64_t RankGraph::label(int64_t node) const {
  const Owned& part = owned(node);
  const Array& labels = part.graph.node().labels;
  return labels.present() ? labels.integer(node - part.begin) : -1;
}

int64_t RankGraph::degree(int64_t node) const {
  const Owned& part = owned(node);
  const auto indptr = part.graph.relation().indptr.as<int64_t>();
  const auto row = static_cast<size_t>(node - part.begin);
  return indptr[row + 1] - indptr[row];
}

std::optional<RowTable> RankGraph::table() const {
  if (partition_.index().parts != 1 || parts_.size() != 1) return std::nullopt;
  const Array& features = parts_.begin()->second.graph.node().features;
  if (!features.present()) return std::nullopt;
  RowTable table{features.data(), features.rows(), features.columns(), RowType::f32};
  switch (features.dtype()) {
    case Dtype::f4:
      table.type = RowType::f32;
      break;
    case Dtype::f2:
      table.type = RowType::f16;
      break;
    case Dtype::bf16:
      table.type = RowType::bf16;
      break;
    case Dtype::u1:
      table.type = RowType::u8;
      break;
    default:
      return std::nullopt;
  }
  return table;
}

Result<int32_t> checked_label(const RankGraph& graph, int64_t node, int64_t label) {
  if (label >= 0 && label < graph.shape().classes) return static_cast<int32_t>(label);
  return Error{Cause::bad_data, fmt::format("node {} has label {}, but there are {} classes",
                                            graph.original(node), label, graph.shape().classes)};
}

}  // namespace gnnflow
