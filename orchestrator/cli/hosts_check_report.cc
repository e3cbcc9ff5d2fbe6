// What `gnnflow hosts check` found, as text and as JSON; and the command.
#include <algorithm>

#include <fmt/format.h>

#include "common/base/digest.h"
#include "common/base/text.h"
#include "orchestrator/cli/hosts.h"
#include "orchestrator/cli/hosts_check.h"
#include "orchestrator/cli/hosts_command.h"

namespace gnnflow {
namespace {

// A check that was killed leaves daemons for so long.
constexpr Milliseconds kLease{30'000}, kGrace{2'000};

std::string facts_text(const CheckedHost& at) {
  std::vector<std::string> words;
  const HostFacts& facts = at.facts;
  if (!facts.system.empty()) words.push_back(facts.system);
  if (facts.cores > 0) words.push_back(fmt::format("{} cores", facts.cores));
  if (facts.free_bytes >= 0) {
    words.push_back(format_bytes(static_cast<double>(facts.free_bytes)) + " free");
  }
  if (!facts.system.empty()) words.push_back(fmt::format("clock {:+.1f} s", facts.clock_ahead_s));
  if (std::string cost = at.host->preparation(); !cost.empty()) words.push_back(std::move(cost));
  return join(words, ", ");
}

size_t count_bad(const std::vector<CheckedHost>& hosts) {
  return static_cast<size_t>(
      std::count_if(hosts.begin(), hosts.end(), [](const CheckedHost& at) { return !at.good(); }));
}

size_t count_bad(const std::vector<CheckedPair>& pairs) {
  return static_cast<size_t>(
      std::count_if(pairs.begin(), pairs.end(), [](const CheckedPair& pair) { return !pair.fault.empty(); }));
}

std::string numbered(size_t count, const std::string& thing) {
  return fmt::format("{} {}{}", count, thing, count == 1 ? "" : "s");
}

// The daemons of a check have nothing to do with those of a run: it may go on meanwhile.
std::string store_of_check(const fs::path& state) { return digest_of("hosts check of " + state.string()); }

std::vector<CheckedHost> hosts_to_check(const HostsScene& scene, std::vector<std::unique_ptr<Host>> made) {
  std::vector<CheckedHost> hosts;
  for (std::unique_ptr<Host>& host : made) {
    const HostEntry* entry = scene.workflow.host(host->name());
    if (!entry) continue;  // the controller
    CheckedHost at{*entry, std::move(host)};
    if (at.entry.workspace.empty()) at.entry.workspace = kDefaultWorkspace;
    if (entry->address != "local") at.target = ssh_target(*entry, scene.workflow, scene.place.folder);
    hosts.push_back(std::move(at));
  }
  return hosts;
}

}  // namespace

std::string check_text(const std::string& workflow, const HostsCheck& check) {
  size_t names = 0, addresses = 0;
  for (const CheckedHost& at : check.hosts()) {
    names = std::max(names, at.entry.name.size());
    addresses = std::max(addresses, address_text(at.entry).size());
  }
  std::string text = fmt::format("hosts of {}:\n", workflow);
  for (const CheckedHost& at : check.hosts()) {
    std::string line = fmt::format("  {:<{}}  {:<{}}  {}  {}", at.entry.name, names, address_text(at.entry),
                                   addresses, at.good() ? "ok  " : "FAIL", facts_text(at));
    text += std::string(line.substr(0, line.find_last_not_of(' ') + 1)) + "\n";
    for (const Finding& finding : at.findings) text += fmt::format("    {}\n", finding.text);
  }
  for (const CheckedPair& pair : check.pairs()) {
    text += fmt::format("  {} -> {} at {}  {}\n", pair.from, pair.to, pair.address,
                        pair.fault.empty() ? "ok" : "FAIL\n    " + pair.fault);
  }
  const size_t hosts = count_bad(check.hosts()), pairs = count_bad(check.pairs());
  text += fmt::format("{} and {} tried: ", numbered(check.hosts().size(), "host"),
                      numbered(check.pairs().size(), "way"));
  return text + (hosts + pairs == 0 ? "nothing would stop a run\n"
                                    : fmt::format("{} and {} would stop a run\n", numbered(hosts, "host"),
                                                  numbered(pairs, "way")));
}

Json check_json(const std::string& workflow, const HostsCheck& check) {
  Json json(Json::Object{{"schema", 1}, {"workflow", workflow}, {"ok", check.good()}});
  json["hosts"] = Json::Array{};
  for (const CheckedHost& at : check.hosts()) {
    Json host(Json::Object{{"host", at.entry.name},
                           {"address", at.entry.address},
                           {"ok", at.good()},
                           {"system", at.facts.system},
                           {"cores", at.facts.cores},
                           {"free_bytes", at.facts.free_bytes},
                           {"clock_ahead_s", at.facts.clock_ahead_s},
                           {"data_address", at.data_address}});
    host["findings"] = Json::Array{};
    for (const Finding& finding : at.findings) {
      host["findings"].push_back(Json::Object{{"stops", finding.stops}, {"text", finding.text}});
    }
    json["hosts"].push_back(std::move(host));
  }
  json["pairs"] = Json::Array{};
  for (const CheckedPair& pair : check.pairs()) {
    json["pairs"].push_back(Json::Object{{"from", pair.from},
                                         {"to", pair.to},
                                         {"address", pair.address},
                                         {"ok", pair.fault.empty()},
                                         {"fault", pair.fault}});
  }
  return json;
}

Result<int> hosts_check(const CommandLine& line, const HostsScene& scene, const Console& console) {
  StopSignal stop;
  stop_on_signals(stop);
  const std::string store = store_of_check(scene.place.folder);
  TRY(auto made, make_hosts(scene.workflow, scene.place.folder, store, &stop));
  HostsCheck check(hosts_to_check(scene, std::move(made)), stop);
  // Each check takes over from one before it that was killed.
  check.run({system_clock().unix_milliseconds(), store, kLease, kGrace});
  if (stop.raised()) return Error{stop.cause(), "stopped"};
  console.out(line.json ? check_json(scene.workflow.name, check).dump() + "\n"
                        : check_text(scene.workflow.name, check));
  return check.good() ? 0 : exit_code(Cause::unfit);
}

}  // namespace gnnflow
