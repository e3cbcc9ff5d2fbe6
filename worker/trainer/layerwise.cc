// Layer by layer. All ranks make the same number of chunks in each layer, for each chunk is an exchange.
#include "worker/trainer/layerwise.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "common/graph/graph_dir.h"
#include "common/sampler/sampler.h"

namespace gnnflow {

Result<NodeOwners> NodeOwners::make(const RankGraph& graph, RankGroup& group) {
  Json::Array own;
  for (const NodeRange& range : graph.own()) {
    Json one;
    one.push_back(range.part);
    one.push_back(range.begin);
    one.push_back(range.end);
    own.push_back(std::move(one));
  }
  TRY(const auto texts, group.gather(Json(own).dump(), "nodes of the ranks"));
  NodeOwners owners;
  owners.rank_ = group.rank();
  owners.ranges_.resize(texts.size());
  for (size_t rank = 0; rank < texts.size(); ++rank) {
    TRY(const Json list, Json::parse(texts[rank]));
    int64_t position = 0;
    for (const Json& one : list.array()) {
      const NodeRange range{static_cast<int>(one.array()[0].integer()), one.array()[1].integer(),
                            one.array()[2].integer()};
      owners.ranges_[rank].push_back(range);
      if (range.begin == range.end) continue;
      owners.pieces_.push_back({range.begin, range.end, static_cast<int>(rank), position});
      position += range.end - range.begin;
    }
    if (static_cast<int>(rank) == group.rank()) owners.own_count_ = position;
  }
  std::sort(owners.pieces_.begin(), owners.pieces_.end(),
            [](const Piece& a, const Piece& b) { return a.begin < b.begin; });
  int64_t next = 0;
  for (const Piece& piece : owners.pieces_) {
    if (piece.begin != next) {
      return Error{Cause::bad_usage,
                   fmt::format("the ranks' parts must cover every node once, but node {} (new id) is {}",
                               std::min(next, piece.begin), piece.begin > next ? "nobody's" : "given twice")};
    }
    next = piece.end;
  }
  if (next != graph.node_count()) {
    return Error{
        Cause::bad_usage,
        fmt::format("the ranks' parts must cover every node once, but node {} (new id) is nobody's", next)};
  }
  return owners;
}

const NodeOwners::Piece& NodeOwners::piece_of(int64_t node) const {
  const auto after = std::upper_bound(pieces_.begin(), pieces_.end(), node,
                                      [](int64_t value, const Piece& piece) { return value < piece.begin; });
  return *std::prev(after);
}
int NodeOwners::rank_of(int64_t node) const { return piece_of(node).rank; }
int64_t NodeOwners::own_position(int64_t node) const {
  const Piece& piece = piece_of(node);
  return piece.position + node - piece.begin;
}
int64_t NodeOwners::own_node(int64_t position) const {
  for (const NodeRange& range : ranges_of(rank_)) {
    if (position < range.end - range.begin) return range.begin + position;
    position -= range.end - range.begin;
  }
  bug("a position beyond this rank's nodes");
}

namespace {

class Layerwise {
 public:
  Layerwise(const Model& model, const EvaluateJob& job, const NodeOwners& owners)
      : model_(model),
        job_(job),
        owners_(owners),
        relabeller_(model.uses_neighbours() ? job.graph.node_count() : 0) {}

  Result<torch::Tensor> run() {
    torch::Tensor hidden;
    for (int layer = 0; layer < model_.layers(); ++layer) {
      TRY(hidden, run_layer(layer, hidden));
    }
    return hidden;
  }

 private:
  Result<torch::Tensor> run_layer(int layer, const torch::Tensor& below);
  Result<torch::Tensor> run_chunk(int layer, const torch::Tensor& below, int64_t begin, int64_t end);
  std::vector<int64_t> chunk_bounds() const;
  Result<torch::Tensor> input_rows(std::span<const int32_t> nodes);
  Result<torch::Tensor> hidden_rows(std::span<const int32_t> nodes, const torch::Tensor& below);

  const Model& model_;
  const EvaluateJob& job_;
  const NodeOwners& owners_;
  Relabeller relabeller_;
  Neighbours drawn_;
};

// Own nodes in order, cut where their rows and those of their neighbours would be more than the limit.
std::vector<int64_t> Layerwise::chunk_bounds() const {
  std::vector<int64_t> bounds{0};
  int64_t rows = 0, position = 0;
  for (const NodeRange& range : owners_.ranges_of(job_.group.rank())) {
    for (int64_t node = range.begin; node < range.end; ++node, ++position) {
      const int64_t more = 1 + (model_.uses_neighbours() ? job_.graph.degree(node) : 0);
      if (rows > 0 && rows + more > job_.chunk_rows) {
        bounds.push_back(position);
        rows = 0;
      }
      rows += more;
    }
  }
  if (bounds.back() != position) bounds.push_back(position);
  return bounds;
}

Result<torch::Tensor> Layerwise::input_rows(std::span<const int32_t> nodes) {
  const int64_t columns = job_.graph.shape().inputs;
  auto rows = torch::empty({static_cast<int64_t>(nodes.size()), columns});
  if (!nodes.empty()) TRY(job_.source.rows(kNodeType, nodes, rows.data_ptr<float>(), columns));
  return rows;
}

// Rows of the layer below: ours from memory, others' from their ranks. Every rank asks and answers in every
// chunk.
Result<torch::Tensor> Layerwise::hidden_rows(std::span<const int32_t> nodes, const torch::Tensor& below) {
  const auto ranks = static_cast<size_t>(job_.group.ranks());
  std::vector<std::vector<int64_t>> asked(ranks), places(ranks);
  for (size_t i = 0; i < nodes.size(); ++i) {
    const auto owner = static_cast<size_t>(owners_.rank_of(nodes[i]));
    asked[owner].push_back(nodes[i]);
    places[owner].push_back(static_cast<int64_t>(i));
  }
  std::vector<int64_t> flat, counts;
  for (const auto& list : asked) {
    flat.insert(flat.end(), list.begin(), list.end());
    counts.push_back(static_cast<int64_t>(list.size()));
  }
  TRY(const auto wanted,
      job_.group.exchange(torch::tensor(flat, torch::kInt64), counts, "ids of hidden rows"));
  auto positions = torch::empty_like(wanted.rows);
  const auto* ids = wanted.rows.data_ptr<int64_t>();
  for (int64_t i = 0; i < wanted.rows.size(0); ++i) {
    if (ids[i] < 0 || ids[i] >= job_.graph.node_count() || owners_.rank_of(ids[i]) != job_.group.rank()) {
      return Error{Cause::bad_data,
                   fmt::format("a rank asked for node {} (new id), which is not ours", ids[i])};
    }
    positions.data_ptr<int64_t>()[i] = owners_.own_position(ids[i]);
  }
  TRY(const auto answer, job_.group.exchange(below.index_select(0, positions), wanted.counts, "hidden rows"));
  std::vector<int64_t> order;
  for (const auto& list : places) order.insert(order.end(), list.begin(), list.end());
  auto rows = torch::empty({static_cast<int64_t>(nodes.size()), below.size(1)});
  rows.index_copy_(0, torch::tensor(order, torch::kInt64), answer.rows);
  return rows;
}

Result<torch::Tensor> Layerwise::run_chunk(int layer, const torch::Tensor& below, int64_t begin,
                                           int64_t end) {
  std::vector<int32_t> own;
  for (int64_t i = begin; i < end; ++i) own.push_back(static_cast<int32_t>(owners_.own_node(i)));
  LayerInput input;
  if (!model_.uses_neighbours()) {
    if (layer > 0) {
      input.rows = below.narrow(0, begin, end - begin);
    } else {
      TRY(input.rows, input_rows(own));
    }
    return model_.layer(layer, input);
  }
  Buffer<int32_t> nodes;
  drawn_.offsets.clear();
  drawn_.sources.clear();
  if (own.empty()) {
    drawn_.offsets.push_back(0);
  } else {
    TRY(job_.source.neighbours({kRelation, 0, kAllNeighbours, own}, drawn_));
  }
  TRY(relabeller_.start(own, nodes));
  relabeller_.add(drawn_.sources.span(), nodes);
  input.block = BlockView{drawn_.offsets.span(), drawn_.sources.span()};
  if (layer > 0) {
    TRY(input.rows, hidden_rows(nodes.span(), below));
  } else {
    TRY(input.rows, input_rows(nodes.span()));
  }
  return model_.layer(layer, input);
}

Result<torch::Tensor> Layerwise::run_layer(int layer, const torch::Tensor& below) {
  const auto bounds = chunk_bounds();
  const auto own_chunks = static_cast<int64_t>(bounds.size()) - 1;
  TRY(const auto chunks_of, job_.group.gather(own_chunks, "numbers of chunks"));
  const int64_t chunks = *std::max_element(chunks_of.begin(), chunks_of.end());
  auto out = torch::empty({owners_.own_count(), model_.width(layer)});
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    if (job_.stop != nullptr && job_.stop->raised())
      return Error{job_.stop->cause(), "evaluation was stopped"};
    const int64_t begin = chunk < own_chunks ? bounds[static_cast<size_t>(chunk)] : owners_.own_count();
    const int64_t end = chunk < own_chunks ? bounds[static_cast<size_t>(chunk) + 1] : owners_.own_count();
    TRY(const auto rows, run_chunk(layer, below, begin, end));
    if (end > begin) out.narrow(0, begin, end - begin).copy_(rows);
    if (job_.group.rank() == 0)
      job_.reports.progress({fmt::format("layer {}", layer + 1), chunk + 1, chunks, "chunks", ""});
  }
  return out;
}

}  // namespace

Result<torch::Tensor> layerwise_scores(const Model& model, const EvaluateJob& job, const NodeOwners& owners) {
  const torch::NoGradGuard no_grad;
  return Layerwise(model, job, owners).run();
}

}  // namespace gnnflow
