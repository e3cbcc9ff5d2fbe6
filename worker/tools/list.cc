// list: which files a directory has, or a host with one part needs. Digests of arrays come from the index,
// unread.
#include <fmt/format.h>

#include "common/base/digest.h"
#include "common/base/text.h"
#include "common/graph/partition_dir.h"
#include "worker/tools/printing.h"
#include "worker/tools/tools.h"

namespace gnnflow {
namespace {

class FileList {
 public:
  explicit FileList(fs::path folder) : folder_(std::move(folder)) {}

  Status add_array(const ArrayInfo& info, const fs::path& below) {
    const fs::path path = below / info.path;
    std::error_code code;
    const auto bytes = static_cast<int64_t>(fs::file_size(folder_ / path, code));
    if (code || bytes != info.bytes) {
      return Error{Cause::bad_data,
                   fmt::format("{}: {}, the index says {} bytes", (folder_ / path).string(),
                               code ? "missing" : fmt::format("has {} bytes", bytes), info.bytes)};
    }
    add(path, info.bytes, info.digest);
    return {};
  }
  Status add_file(const fs::path& path) {
    TRY(auto content, read_file(folder_ / path));
    add(path, static_cast<int64_t>(content.size()), digest_of(content));
    return {};
  }
  Json take() { return std::move(files_); }

 private:
  void add(const fs::path& path, int64_t bytes, const std::string& digest) {
    files_.push_back(Json::Object{{"path", path.string()}, {"bytes", bytes}, {"digest", digest}});
  }
  fs::path folder_;
  Json files_ = Json::Array{};
};

Status list_graph(const GraphDir& graph, const fs::path& below, FileList& files) {
  TRY(files.add_file(below / "graph.json"));
  for (const auto& [path, info] : graph.index().arrays) TRY(files.add_array(info, below));
  return {};
}

Status list_partition(const PartitionDir& partition, std::optional<int> part, FileList& files) {
  TRY(files.add_file("partition.json"));
  for (const auto& [path, info] : partition.index().arrays) {
    // The assignment is for people and other tools: a host finds owners by ranges.
    if (!part || !path.starts_with("assignment/")) TRY(files.add_array(info, {}));
  }
  for (int p = 0; p < partition.index().parts; ++p) {
    if (part && *part != p) continue;
    TRY(auto graph, partition.open_part(p));
    const fs::path below = fmt::format("part-{}", p);
    TRY(files.add_file(below / "part.json"));
    TRY(list_graph(graph, below, files));
  }
  return {};
}

Result<Json> list(const fs::path& folder, std::optional<int> part) {
  FileList files(folder);
  Json out;
  if (is_partition(folder)) {
    TRY(auto partition, PartitionDir::open(folder));
    if (part && (*part < 0 || *part >= partition.index().parts)) {
      return Error{Cause::not_found, fmt::format("{} has parts 0 to {}, no part {}", folder.string(),
                                                 partition.index().parts - 1, *part)};
    }
    TRY(list_partition(partition, part, files));
    out = Json::Object{
        {"kind", "partition"}, {"parts", partition.index().parts}, {"digest", partition.index().digest()}};
  } else if (part) {
    return Error{Cause::not_found,
                 fmt::format("{} is no partition: it has no part {}", folder.string(), *part)};
  } else {
    TRY(auto graph, GraphDir::open(folder));
    TRY(list_graph(graph, {}, files));
    out = Json::Object{{"kind", "graph"}, {"digest", graph.index().digest()}};
  }
  out["version"] = 1;
  out["files"] = files.take();
  return out;
}

}  // namespace

int run_list(const fs::path& folder, std::optional<int> part, Output output) {
  const auto listed = list(folder, part);
  if (!listed) return print_failure(listed.error());
  if (output == Output::json) {
    print_json(*listed);
    return 0;
  }
  for (const Json& file : listed->get("files").array()) {
    print_text(fmt::format("{} {:>14} {}\n", file.text_or("digest", ""),
                           format_count(file.integer_or("bytes", 0)), file.text_or("path", "")));
  }
  return 0;
}

}  // namespace gnnflow
