// verify: which kind of directory it is, and what to say at the end.
#include "worker/tools/verify.h"

#include <fmt/format.h>

#include "common/base/text.h"
#include "worker/tools/printing.h"
#include "worker/tools/tools.h"

namespace gnnflow {
namespace {

Result<Json> verify(const fs::path& folder) {
  VerifyCounts counts;
  Json out;
  if (is_partition(folder)) {
    TRY(auto partition, PartitionDir::open(folder));
    TRY(verify_partition(partition, counts));
    out = Json::Object{{"kind", "partition"},
                       {"digest", partition.index().digest()},
                       {"parts", partition.index().parts},
                       {"parts_here", counts.parts}};
  } else {
    TRY(auto graph, GraphDir::open(folder));
    TRY(verify_graph(graph, -1, counts));
    out = Json::Object{{"kind", "graph"}, {"digest", graph.index().digest()}};
  }
  out["good"] = true;
  out["files"] = counts.files;
  out["bytes"] = counts.bytes;
  out["nodes"] = counts.nodes;
  out["edges"] = counts.edges;
  return out;
}

}  // namespace

int run_verify(const fs::path& folder, Output output) {
  const auto checked = verify(folder);
  if (!checked) {
    if (output == Output::json) {
      print_json(Json::Object{
          {"good", false}, {"cause", name_of(checked.error().cause)}, {"message", checked.error().message}});
    }
    return print_failure(checked.error());
  }
  if (output == Output::json) {
    print_json(*checked);
  } else {
    print_text(fmt::format("good: {} {}, {} nodes, {} edges, {} arrays, {}\n", checked->text_or("kind", ""),
                           checked->text_or("digest", ""), format_count(checked->integer_or("nodes", 0)),
                           format_count(checked->integer_or("edges", 0)), checked->integer_or("files", 0),
                           format_bytes(static_cast<double>(checked->integer_or("bytes", 0)))));
  }
  return 0;
}

}  // namespace gnnflow
