// generate, import and partition behind one face, and what is said of their results.
#include "worker/tools/make_graphs.h"

#include <new>

#include <fmt/format.h>

#include "common/base/text.h"
#include "worker/ingest/generate.h"
#include "worker/ingest/import.h"
#include "worker/partition/balance.h"
#include "worker/partition/partition.h"

namespace gnnflow {
namespace {

// Sizes come from options and files, so what does not fit is no bug; and what was half written goes away.
template <typename Make>
Result<Json> within_memory(Make make) {
  try {
    return make();
  } catch (const std::bad_alloc&) {
    return Error{Cause::no_resources, "not enough memory for a graph of this size: take a larger machine"};
  }
}

Json describe(const GraphIndex& index) {
  Json nodes = Json::Object{}, edges = Json::Object{};
  for (const auto& [type, count] : index.nodes) nodes[type] = count;
  for (const auto& [relation, count] : index.edges) edges[relation] = count;
  return Json::Object{{"kind", "graph"}, {"digest", index.digest()}, {"nodes", nodes}, {"edges", edges}};
}

}  // namespace

Result<Json> make_generated(const MakeRequest& request) {
  return within_memory([&]() -> Result<Json> {
    TRY(auto options, GenerateOptions::from_json(request.options));
    TRY(auto index, generate_graph(options, request.target, request.threads, request.progress));
    return describe(index);
  });
}

Result<Json> make_imported(const MakeRequest& request) {
  return within_memory([&]() -> Result<Json> {
    TRY(auto options, ImportOptions::from_json(request.options));
    TRY(auto index, import_graph(request.input, request.target, options, request.progress));
    return describe(index);
  });
}

Result<Json> make_partition(const MakeRequest& request) {
  return within_memory([&]() -> Result<Json> {
    TRY(auto options, PartitionOptions::from_json(request.options));
    TRY(auto index, partition_graph(request.input, request.target, options, request.progress));
    return Json(Json::Object{{"kind", "partition"},
                             {"digest", index.digest()},
                             {"parts", index.parts},
                             {"method", index.method},
                             {"report", index.report}});
  });
}

std::string made_text(const Json& made) {
  std::string text = fmt::format("{} {}\n", made.text_or("kind", ""), made.text_or("digest", ""));
  for (const std::string_view what : {"nodes", "edges"}) {
    const Json& counts = made.get(what);
    if (!counts.is_object()) continue;
    for (const auto& [name, count] : counts.object()) {
      text += fmt::format("{} {} of '{}'\n", format_count(count.integer()), what, name);
    }
  }
  if (made.has("report")) text += report_text(made.get("report"));
  return text;
}

}  // namespace gnnflow
