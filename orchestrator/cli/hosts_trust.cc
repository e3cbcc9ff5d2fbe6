// `gnnflow hosts trust`.
#include "orchestrator/cli/hosts_trust.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/base/text.h"
#include "orchestrator/cli/hosts.h"
#include "orchestrator/cli/hosts_command.h"
#include "orchestrator/cli/on_each.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kAsk{45'000};
constexpr int kMostJumps = 10;

std::string address_of(const MetHostKey& met) { return known_hosts_name(met.host, met.port); }

// Where the workflow says it is; its user and port may come from the configuration of ssh.
std::string address_of(const SshTarget& target) {
  return target.port > 0 ? known_hosts_name(target.address, target.port) : target.address;
}

void ask(Acquaintance& one) {
  SshSettings settings;
  settings.meet = [&one](const MetHostKey& met) -> Result<bool> {
    one.verdict = met.finding.verdict;
    // Of another type: a host that was set up anew looks so, and so does somebody in between.
    if (one.verdict == KeyVerdict::unknown) one.met = met;
    return false;
  };
  Status asked = SshSession::meet(one.target, Deadline::after(kAsk), settings);
  if (!asked && !one.met) one.error = std::move(asked).error();
}

std::string what_came_of(const Acquaintance& one) {
  if (one.met) return fmt::format("{} {}  new", one.met->key.type, one.met->key.fingerprint());
  if (!one.error) return "known already";
  switch (one.verdict) {
    case KeyVerdict::changed:
      return "refused: its key has changed";
    case KeyVerdict::other_type:
      return "refused: its key is of another type than the known one";
    case KeyVerdict::revoked:
      return "refused: its key is revoked";
    case KeyVerdict::unknown:
    case KeyVerdict::known:
      break;
  }
  return "not reached";
}

bool same_key(const MetHostKey& a, const MetHostKey& b) {
  return a.host == b.host && a.port == b.port && a.key == b.key;
}

Status record(const fs::path& state, const std::vector<MetHostKey>& keys, const Console& console) {
  const fs::path file = state / "known_hosts";
  TRY(create_folders(state));
  for (const MetHostKey& met : keys) TRY(record_host_key(file, met.host, met.port, met.key));
  console.err(fmt::format("recorded {} in {}\n",
                          keys.size() == 1 ? "1 key" : fmt::format("{} keys", keys.size()), file.string()));
  return {};
}

Status agree(const CommandLine& line, const Console& console) {
  if (line.yes) return {};
  if (!console.answer) {
    return Error{Cause::bad_usage,
                 "nothing was recorded: there is no terminal to ask at; compare the fingerprints, then write "
                 "`gnnflow hosts trust FILE --yes`"};
  }
  console.err("Do these fingerprints belong to your hosts? Then write yes: ");
  if (trimmed(console.answer()) == "yes") return {};
  return Error{Cause::unreachable, "nothing was recorded"};
}

// The entries of other machines, or those of them that are named.
Result<std::vector<SshTarget>> wanted_targets(const CommandLine& line, const HostsScene& scene) {
  for (const std::string& name : line.hosts) {
    TRY(const HostEntry* entry, entry_named(scene.workflow, name));
    if (entry->address == "local") {
      return Error{Cause::bad_usage, fmt::format("host {} is this machine: it has no key to learn", name)};
    }
  }
  std::vector<SshTarget> targets;
  for (const HostEntry& entry : scene.workflow.hosts) {
    const bool wanted =
        line.hosts.empty() || std::find(line.hosts.begin(), line.hosts.end(), entry.name) != line.hosts.end();
    if (wanted && entry.address != "local") {
      targets.push_back(ssh_target(entry, scene.workflow, scene.place.folder));
    }
  }
  return targets;
}

}  // namespace

std::vector<Acquaintance> ask_for_keys(const std::vector<SshTarget>& targets) {
  std::vector<Acquaintance> met;
  for (const SshTarget& target : targets) met.push_back({target});
  on_each(met, ask);
  return met;
}

std::vector<MetHostKey> new_keys(const std::vector<Acquaintance>& met) {
  std::vector<MetHostKey> keys;
  for (const Acquaintance& one : met) {
    if (!one.met) continue;
    const bool seen =
        std::any_of(keys.begin(), keys.end(), [&](const MetHostKey& key) { return same_key(key, *one.met); });
    if (!seen) keys.push_back(*one.met);
  }
  return keys;
}

std::string keys_text(const std::vector<Acquaintance>& met) {
  size_t names = 0, addresses = 0;
  for (const Acquaintance& one : met) {
    names = std::max(names, one.target.name.size());
    addresses = std::max(addresses, (one.met ? address_of(*one.met) : address_of(one.target)).size());
  }
  std::string text;
  for (const Acquaintance& one : met) {
    text +=
        fmt::format("{:<{}}  {:<{}}  {}\n", one.target.name, names,
                    one.met ? address_of(*one.met) : address_of(one.target), addresses, what_came_of(one));
  }
  return text;
}

Result<int> hosts_trust(const CommandLine& line, const HostsScene& scene, const Console& console) {
  TRY(std::vector<SshTarget> targets, wanted_targets(line, scene));
  if (targets.empty()) {
    console.err("all hosts are this machine: there are no keys to learn\n");
    return 0;
  }
  int code = 0;
  // A jump's key is learnt before the host behind it can be asked.
  for (int round = 0; round < kMostJumps; ++round) {
    const std::vector<Acquaintance> met = ask_for_keys(targets);
    const std::vector<MetHostKey> keys = new_keys(met);
    if (round == 0 || !keys.empty()) console.out(keys_text(met));
    targets.clear();
    for (const Acquaintance& one : met) {
      if (one.met) targets.push_back(one.target);
      if (!one.error) continue;
      console.err(fmt::format("gnnflow: {}\n", one.error->message));
      code = exit_code(one.error->cause);
    }
    if (keys.empty()) return code;
    TRY(agree(line, console));
    TRY(record(scene.place.folder, keys, console));
  }
  return Error{Cause::unreachable, "there are too many hosts on the way"};
}

}  // namespace gnnflow
