// Laying out what went, host by host.
#include "orchestrator/cli/gc_report.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "common/base/text.h"

namespace gnnflow {
namespace {

int64_t bytes_of(const std::vector<StoredThing>& things) {
  int64_t bytes = 0;
  for (const StoredThing& thing : things) bytes += thing.bytes;
  return bytes;
}

std::string size_of(const std::vector<StoredThing>& things) {
  return format_bytes(static_cast<double>(bytes_of(things)));
}

// Things that people do not look at one by one.
std::string sort_of(const StoredThing& thing) {
  if (thing.path.starts_with("logs/")) return "log";
  if (thing.path.starts_with("incoming/")) return "unfinished transfer";
  if (thing.path.starts_with("tmp/")) return "temporary folder";
  return "";
}

std::string things_text(const std::vector<StoredThing>& things) {
  std::string text;
  std::map<std::string, std::vector<StoredThing>> sorts;
  for (const StoredThing& thing : things) {
    if (std::string sort = sort_of(thing); !sort.empty()) {
      sorts[sort].push_back(thing);
    } else {
      text += fmt::format("    {}: {}\n", describe(thing), size_of({thing}));
    }
  }
  for (const auto& [sort, all] : sorts) {
    text += fmt::format("    {} {}{}: {}\n", format_count(static_cast<int64_t>(all.size())), sort,
                        all.size() == 1 ? "" : "s", size_of(all));
  }
  return text;
}

}  // namespace

std::string gc_text(const GcScene& scene, const std::vector<HostTidy>& hosts) {
  std::vector<StoredThing> all;
  size_t names = 0;
  for (const HostTidy& at : hosts) {
    all.insert(all.end(), at.doomed.begin(), at.doomed.end());
    names = std::max(names, at.name.size());
  }
  std::string text = fmt::format(
      "gc of {}: {}\n", scene.workflow,
      all.empty() ? "nothing to remove" : size_of(all) + (scene.dry_run ? " would be removed" : " removed"));
  for (const HostTidy& at : hosts) {
    const std::string what = !at.doomed.empty()        ? size_of(at.doomed)
                             : at.error                ? "not done"
                             : !at.passed_over.empty() ? at.passed_over
                                                       : "nothing";
    text += fmt::format("  {:<{}}  {}\n{}", at.name, names, what, things_text(at.doomed));
  }
  return text;
}

Json gc_json(const GcScene& scene, const std::vector<HostTidy>& hosts) {
  Json json(Json::Object{{"schema", 1}, {"workflow", scene.workflow}, {"dry_run", scene.dry_run}});
  json["hosts"] = Json::Array{};
  for (const HostTidy& at : hosts) {
    Json host(Json::Object{{"host", at.name}, {"bytes", bytes_of(at.doomed)}});
    host["removed"] = Json::Array{};
    for (const StoredThing& thing : at.doomed) {
      host["removed"].push_back(Json::Object{{"path", thing.path}, {"bytes", thing.bytes}});
    }
    if (!at.passed_over.empty()) host["passed_over"] = at.passed_over;
    if (at.error) {
      host["error"] = Json::Object{{"cause", name_of(at.error->cause)}, {"message", at.error->message}};
    }
    json["hosts"].push_back(std::move(host));
  }
  return json;
}

}  // namespace gnnflow
