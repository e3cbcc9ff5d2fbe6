// Writes a graph directory: arrays first, graph.json last, then one rename.
#include "common/graph/graph_dir.h"

namespace gnnflow {

Result<GraphWriter> GraphWriter::create(const fs::path& target) {
  GraphWriter writer;
  TRY(writer.folder_, NewFolder::create(target));
  return writer;
}

void GraphWriter::add(ArrayInfo info) {
  std::string path = info.path;
  index_.arrays[std::move(path)] = std::move(info);
}

Status GraphWriter::write_index(const fs::path& folder, const GraphIndex& index) {
  return write_file_atomically(folder / "graph.json", index.to_json().dump_pretty() + "\n");
}

Result<GraphIndex> GraphWriter::commit() {
  TRY(write_index(folder(), index_));
  TRY(folder_.publish());
  return std::move(index_);
}

}  // namespace gnnflow
