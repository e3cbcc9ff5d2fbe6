// info: what a graph or partition directory holds, from its index alone.
#include <fmt/format.h>

#include "common/base/text.h"
#include "common/graph/partition_dir.h"
#include "worker/partition/balance.h"
#include "worker/tools/printing.h"
#include "worker/tools/tools.h"

namespace gnnflow {
namespace {

std::string arrays_text(const std::map<std::string, ArrayInfo>& arrays) {
  std::string text;
  for (const auto& [path, info] : arrays) {
    text += fmt::format("  {:<40} {:<4} [{}]  {}\n", path, name_of(info.dtype), fmt::join(info.shape, ", "),
                        format_bytes(static_cast<double>(info.bytes)));
  }
  return text;
}

std::string counts_text(std::string_view what, const std::map<std::string, int64_t>& counts) {
  std::string text;
  for (const auto& [name, count] : counts)
    text += fmt::format("{}: {} of '{}'\n", what, format_count(count), name);
  return text;
}

std::string graph_text(const GraphDir& graph) {
  const GraphIndex& index = graph.index();
  return fmt::format("graph {}\n", index.digest()) + counts_text("nodes", index.nodes) +
         counts_text("edges", index.edges) + counts_text("classes", index.classes) +
         counts_text("feature columns", index.feature_columns) + arrays_text(index.arrays) +
         fmt::format("made by: {}\n", index.provenance.dump());
}

std::string partition_text(const PartitionDir& partition) {
  const PartitionIndex& index = partition.index();
  std::string text = fmt::format("partition {} of graph {}\n{} parts by {}, seed {}\n", index.digest(),
                                 index.graph_digest, index.parts, index.method, index.seed);
  for (const auto& [type, ranges] : index.ranges) {
    text += fmt::format("nodes: {} of '{}', parts begin at {}\n", format_count(ranges.count()), type,
                        fmt::join(ranges.begin.begin(), ranges.begin.end() - 1, ", "));
  }
  text += counts_text("edges", index.edges);
  std::string here;
  for (int part = 0; part < index.parts; ++part) {
    if (partition.has_part(part)) here += fmt::format(" {}", part);
  }
  return text + fmt::format("parts here:{}\n", here) + report_text(index.report);
}

Json graph_json(const GraphDir& graph) {
  Json out = graph.index().to_json();
  out["kind"] = "graph";
  out["digest"] = graph.index().digest();
  return out;
}

Json partition_json(const PartitionDir& partition) {
  Json out = partition.index().to_json();
  out["kind"] = "partition";
  out["digest"] = partition.index().digest();
  Json here = Json::Array{};
  for (int part = 0; part < partition.index().parts; ++part) {
    if (partition.has_part(part)) here.push_back(part);
  }
  out["parts_here"] = std::move(here);
  return out;
}

template <typename Directory>
int show(const Result<Directory>& opened, std::string (*text)(const Directory&),
         Json (*json)(const Directory&), Output output) {
  if (!opened) return print_failure(opened.error());
  output == Output::json ? print_json(json(*opened)) : print_text(text(*opened));
  return 0;
}

}  // namespace

int run_info(const fs::path& folder, Output output) {
  if (is_partition(folder)) return show(PartitionDir::open(folder), partition_text, partition_json, output);
  return show(GraphDir::open(folder), graph_text, graph_json, output);
}

}  // namespace gnnflow
