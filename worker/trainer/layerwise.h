// A model over all nodes, layer by layer, whole neighbourhoods, in chunks of bounded memory. Each rank
// computes its own nodes; rows of other ranks' nodes come through the group, a chunk at a time.
#pragma once

#include "worker/trainer/evaluate.h"

namespace gnnflow {

// Which rank computes which new ids. Ranges of all ranks, ascending, covering every node once.
class NodeOwners {
 public:
  // All ranks together. bad_usage when a node belongs to no rank or to two.
  static Result<NodeOwners> make(const RankGraph& graph, RankGroup& group);
  int rank_of(int64_t node) const;
  int64_t own_count() const { return own_count_; }
  int64_t own_position(int64_t node) const;  // REQUIRES: ours
  int64_t own_node(int64_t position) const;
  // In the order of positions.
  const std::vector<NodeRange>& ranges_of(int rank) const { return ranges_[static_cast<size_t>(rank)]; }

 private:
  struct Piece {
    int64_t begin, end;
    int rank;
    int64_t position;  // of its first node among its rank's
  };
  const Piece& piece_of(int64_t node) const;
  std::vector<Piece> pieces_;  // ascending by begin
  std::vector<std::vector<NodeRange>> ranges_;
  int rank_ = 0;
  int64_t own_count_ = 0;
};

// [own nodes, classes].
Result<torch::Tensor> layerwise_scores(const Model& model, const EvaluateJob& job, const NodeOwners& owners);

}  // namespace gnnflow
