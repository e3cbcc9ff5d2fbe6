// Toy graphs: plain lists per destination, written as the format says.
#include "tests/support/toy_graph.h"

#include <set>

namespace gnnflow {
namespace {

template <typename T>
T must(Result<T> result) {
  if (!result) bug(result.error().message);
  return std::move(result).value();
}

uint64_t next(uint64_t& state) {  // a generator of the tests' own
  state = state * 6364136223846793005ull + 1442695040888963407ull;
  return state >> 33;
}

void write_edges(GraphWriter& writer, const ToyOptions& options) {
  struct Entry {
    int32_t source, row;
  };
  std::vector<std::vector<Entry>> rows(static_cast<size_t>(options.nodes));
  const auto pairs = toy_pairs(options);
  for (size_t i = 0; i < pairs.size(); ++i) {
    const auto [u, v] = pairs[i];
    rows[static_cast<size_t>(v)].push_back({static_cast<int32_t>(u), static_cast<int32_t>(i)});
    rows[static_cast<size_t>(u)].push_back({static_cast<int32_t>(v), static_cast<int32_t>(i)});
  }
  std::vector<int64_t> indptr{0};
  std::vector<int32_t> indices, ids;
  for (const auto& row : rows) {
    for (const Entry& entry : row) {
      indices.push_back(entry.source);
      ids.push_back(entry.row);
    }
    indptr.push_back(static_cast<int64_t>(indices.size()));
  }
  const std::string folder = "edges/node.edge.node/";
  const auto count = static_cast<int64_t>(indices.size());
  const fs::path& at = writer.folder();
  writer.add(must(write_array(at, folder + "indptr.npy", Dtype::i8, {options.nodes + 1},
                              std::span<const int64_t>(indptr))));
  writer.add(
      must(write_array(at, folder + "indices.npy", Dtype::i4, {count}, std::span<const int32_t>(indices))));
  writer.add(
      must(write_array(at, folder + "edge_ids.npy", Dtype::i4, {count}, std::span<const int32_t>(ids))));
  writer.index().edges["node.edge.node"] = count;
}

void write_dense(GraphWriter& writer, const ToyOptions& options) {
  std::vector<float> rows;
  for (int64_t i = 0; i < options.nodes; ++i) {
    for (int64_t c = 0; c < options.columns; ++c) rows.push_back(toy_feature(i, c));
  }
  writer.add(must(write_array(writer.folder(), "nodes/node/feat.npy", Dtype::f4,
                              {options.nodes, options.columns}, std::span<const float>(rows))));
}

void write_sparse(GraphWriter& writer, const ToyOptions& options) {
  std::vector<int64_t> indptr{0};
  std::vector<int32_t> indices;
  for (int64_t i = 0; i < options.nodes; ++i) {
    for (int64_t c = 0; c < options.columns; ++c) {
      if ((i + c) % 3 == 0) indices.push_back(static_cast<int32_t>(c));
    }
    indptr.push_back(static_cast<int64_t>(indices.size()));
  }
  writer.add(must(write_array(writer.folder(), "nodes/node/feat.indptr.npy", Dtype::i8, {options.nodes + 1},
                              std::span<const int64_t>(indptr))));
  writer.add(must(write_array(writer.folder(), "nodes/node/feat.indices.npy", Dtype::i4,
                              {static_cast<int64_t>(indices.size())}, std::span<const int32_t>(indices))));
}

void write_labels_and_split(GraphWriter& writer, const ToyOptions& options) {
  std::vector<int8_t> labels;
  std::vector<int32_t> sets[3];
  for (int64_t i = 0; i < options.nodes; ++i) {
    labels.push_back(static_cast<int8_t>(toy_label(options, i)));
    sets[toy_set(i)].push_back(static_cast<int32_t>(i));
  }
  writer.add(must(write_array(writer.folder(), "nodes/node/label.npy", Dtype::i1, {options.nodes},
                              std::span<const int8_t>(labels))));
  const char* names[] = {"train", "val", "test"};
  for (int i = 0; i < 3; ++i) {
    writer.add(
        must(write_array(writer.folder(), std::string("split/node/default/") + names[i] + ".npy", Dtype::i4,
                         {static_cast<int64_t>(sets[i].size())}, std::span<const int32_t>(sets[i]))));
  }
}

}  // namespace

std::vector<std::pair<int64_t, int64_t>> toy_pairs(const ToyOptions& options) {
  std::vector<std::pair<int64_t, int64_t>> pairs;
  std::set<std::pair<int64_t, int64_t>> seen;
  uint64_t state = options.seed;
  for (int64_t i = 0; i < options.pairs; ++i) {
    const auto u = static_cast<int64_t>(next(state) % static_cast<uint64_t>(options.nodes));
    const auto v = static_cast<int64_t>(next(state) % static_cast<uint64_t>(options.nodes));
    if (u != v && seen.insert(std::minmax(u, v)).second) pairs.emplace_back(u, v);
  }
  return pairs;
}

float toy_feature(int64_t node, int64_t column) {
  return static_cast<float>(node) + static_cast<float>(column) / 16.0f;
}

int64_t toy_label(const ToyOptions& options, int64_t node) { return node % options.classes; }

int toy_set(int64_t node) { return node % 5 < 2 ? 0 : node % 5 == 2 ? 1 : 2; }

GraphDir toy_graph(const fs::path& folder, const ToyOptions& options) {
  GraphWriter writer = must(GraphWriter::create(folder));
  GraphIndex& index = writer.index();
  index.nodes["node"] = options.nodes;
  index.classes["node"] = options.classes;
  if (options.columns > 0) {
    index.feature_columns["node"] = options.columns;
    options.sparse ? write_sparse(writer, options) : write_dense(writer, options);
  }
  index.provenance = Json::Object{{"command", "toy"}};
  write_edges(writer, options);
  write_labels_and_split(writer, options);
  must(writer.commit());
  return must(GraphDir::open(folder));
}

}  // namespace gnnflow
