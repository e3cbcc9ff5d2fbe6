// `gnnflow hosts`: a table of the entries, and the choice of the action.
#include "orchestrator/cli/hosts_command.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "common/base/text.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/stored_hosts.h"
#include "orchestrator/remote/known_hosts.h"
#include "orchestrator/workflow/problems.h"

namespace gnnflow {
namespace {

struct HostLine {
  HostEntry entry;
  std::optional<HostRow> row;  // what the state knows of it
  bool in_workflow = true;
};

Result<std::map<std::string, HostRow>> stored_rows(const fs::path& state) {
  std::map<std::string, HostRow> rows;
  Result<StoreReader> reader = StoreReader::open(state);
  if (!reader && reader.error().cause == Cause::not_found) return rows;
  if (!reader) return std::move(reader).error();
  TRY(std::vector<HostRow> all, reader->hosts());
  for (HostRow& row : all) rows.emplace(row.name, std::move(row));
  return rows;
}

Result<std::vector<HostLine>> lines_of(const HostsScene& scene) {
  TRY(auto rows, stored_rows(scene.place.folder));
  std::vector<HostLine> lines;
  std::vector<HostEntry> entries = scene.workflow.hosts;
  HostEntry controller;
  controller.name = kController;
  entries.insert(entries.begin(), controller);
  for (const HostEntry& entry : entries) {
    HostLine line{entry, {}};
    if (const auto row = rows.find(entry.name); row != rows.end()) {
      line.row = row->second;
      rows.erase(row);
    }
    lines.push_back(std::move(line));
  }
  for (const auto& [name, row] : rows) {
    if (!row.entry.is_null() || !row.root.empty())
      lines.push_back({entry_from_json(name, row.entry), row, false});
  }
  return lines;
}

std::string seen_text(const HostLine& line, int64_t now_ms) {
  const std::string gone = line.in_workflow ? "" : ", no longer in the workflow";
  if (!line.row || line.row->root.empty()) return "never used" + gone;
  const int64_t seen = line.row->last_seen_ms;
  if (seen == 0) return "never reached" + gone;
  const std::string ago = format_duration(Milliseconds(std::max<int64_t>(0, now_ms - seen)));
  const bool up = line.row->state == HostState::up;
  return fmt::format("{}last seen {} ago, data in {}{}", up ? "up, " : "", ago, line.row->root, gone);
}

std::string table(const std::string& workflow, const std::vector<HostLine>& lines) {
  const int64_t now_ms = system_clock().unix_milliseconds();
  size_t names = 0, addresses = 0;
  for (const HostLine& line : lines) {
    names = std::max(names, line.entry.name.size());
    addresses = std::max(addresses, address_text(line.entry).size());
  }
  std::string text = fmt::format("hosts of {}:\n", workflow);
  for (const HostLine& line : lines) {
    text += fmt::format("  {:<{}}  {:<{}}  {}\n", line.entry.name, names, address_text(line.entry), addresses,
                        seen_text(line, now_ms));
  }
  return text;
}

Json table_json(const std::string& workflow, const std::vector<HostLine>& lines) {
  Json json(Json::Object{{"schema", 1}, {"workflow", workflow}});
  json["hosts"] = Json::Array{};
  for (const HostLine& line : lines) {
    Json host = entry_to_json(line.entry);
    host["host"] = line.entry.name;
    host["in_workflow"] = line.in_workflow;
    host["root"] = line.row ? line.row->root : "";
    host["last_seen_ms"] = line.row ? line.row->last_seen_ms : 0;
    json["hosts"].push_back(std::move(host));
  }
  return json;
}

Result<int> hosts_list(const CommandLine& line, const HostsScene& scene, const Console& console) {
  TRY(std::vector<HostLine> lines, lines_of(scene));
  console.out(line.json ? table_json(scene.workflow.name, lines).dump() + "\n"
                        : table(scene.workflow.name, lines));
  return 0;
}

Result<HostsScene> scene_of(const CommandLine& line, const Console& console) {
  TRY(StatePlace place, find_state(line, console));
  TRY(Workflow workflow, load_as_last_run(line, place));
  place.file = workflow.file;
  return HostsScene{std::move(workflow), std::move(place)};
}

}  // namespace

Result<const HostEntry*> entry_named(const Workflow& workflow, const std::string& name) {
  if (const HostEntry* entry = workflow.host(name)) return entry;
  std::vector<std::string> names;
  for (const HostEntry& entry : workflow.hosts) names.push_back(entry.name);
  return Error{Cause::not_found,
               fmt::format("the workflow has no host '{}'{}", name, suggestion_or_all(name, names))};
}

std::string address_text(const HostEntry& entry) {
  if (entry.address == "local") return "this machine";
  return (entry.user.empty() ? "" : entry.user + "@") +
         (entry.port > 0 ? known_hosts_name(entry.address, entry.port) : entry.address);
}

Result<int> hosts_command(const CommandLine& line, const Console& console) {
  TRY(HostsScene scene, scene_of(line, console));
  if (line.action == "trust") return hosts_trust(line, scene, console);
  if (line.action == "check") return hosts_check(line, scene, console);
  return hosts_list(line, scene, console);
}

}  // namespace gnnflow
