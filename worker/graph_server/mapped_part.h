// One part of a partition, mapped from its files: what graph servers and trainers read.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/graph/partition_dir.h"
#include "common/kernels/kernels.h"
#include "common/sampler/block.h"
#include "common/sampler/sampler.h"

namespace gnnflow {

// Any thread may call anything: nothing changes after opening. Nodes are new ids; one that the part does not
// own is bad_data.
class MappedPart {
 public:
  static Result<std::shared_ptr<const MappedPart>> open(const PartitionDir& partition, int part);

  int part() const { return part_; }
  int64_t columns(std::string_view type) const;  // 0: no features
  // In which type rows travel: as stored; sparse rows travel whole.
  RowType row_type(std::string_view type) const;

  // Draws by the pick function. Appends to sources, and one offset per node to offsets, which holds its
  // first.
  Status draw(std::string_view relation, uint64_t layer_key, int fanout, std::span<const int32_t> nodes,
              Buffer<int32_t>& offsets, Buffer<int32_t>& sources) const;
  // How many edges that can be at most.
  Result<int64_t> bound(std::string_view relation, int fanout, std::span<const int32_t> nodes) const;
  // REQUIRES: the part owns it.
  int64_t original_of(std::string_view relation, int32_t destination) const;

  // Rows as f32 into rows `positions` of out (without positions: in order), `stride` floats apart. `scratch`
  // is the caller's.
  Status rows(std::string_view type, std::span<const int32_t> nodes, std::span<const int32_t> positions,
              float* out, int64_t stride, Buffer<int32_t>& scratch) const;
  // Rows in the type in which they travel, one after the other.
  Status packed_rows(std::string_view type, std::span<const int32_t> nodes, std::byte* out) const;

 private:
  struct NodeRows {  // of one node type
    int64_t first = 0, count = 0, columns = 0;
    RowTable dense;  // or sparse
    const NodeArrays* arrays = nullptr;
    bool sparse() const { return arrays->feature_indptr.present(); }
  };
  struct RelationRows {
    RowsView view;
    int64_t first = 0;
    std::string file;  // for messages
  };

  MappedPart() = default;
  Status add_nodes(const PartitionDir& partition, const std::string& type);
  Status add_relation(const PartitionDir& partition, const std::string& name);
  Result<const NodeRows*> features_of(std::string_view type) const;
  Result<const RelationRows*> relation_of(std::string_view name) const;
  template <typename T>
  Status sparse_row(const NodeRows& nodes, int64_t row, T* out) const;
  Status check(const NodeRows& nodes, std::span<const int32_t> ids) const;

  int part_ = 0;
  GraphDir graph_;
  std::map<std::string, NodeRows, std::less<>> nodes_;
  std::map<std::string, RelationRows, std::less<>> relations_;
};

}  // namespace gnnflow
