// All hosts at once: login, daemon; then addresses; then who hears whom.
#include "orchestrator/cli/hosts_check.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "common/base/incoming.h"
#include "common/base/text.h"
#include "common/wire/message_of.h"
#include "orchestrator/cli/on_each.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kLogin{45'000};
constexpr Milliseconds kScript{20'000};
constexpr Milliseconds kStart{60'000};
constexpr Milliseconds kOrder{30'000};
constexpr int64_t kLittleDisk = int64_t{1} << 30;
constexpr double kClocksApart = 30;
constexpr std::string_view kSentinel = "gnnflow-check\n";

double now_ms() { return static_cast<double>(system_clock().unix_milliseconds()); }

bool is_here(const CheckedHost& at) { return at.entry.address == "local"; }

// "/dev/sda1 1024 512 512 50% /home": the number before the percentage.
int64_t free_kilobytes(std::string_view line) {
  std::vector<std::string> words;
  for (std::string& word : split(line, ' ')) {
    if (!word.empty()) words.push_back(std::move(word));
  }
  for (size_t i = 1; i < words.size(); ++i) {
    if (words[i].ends_with('%')) return parse_integer(words[i - 1]).value_or(-1);
  }
  return -1;
}

std::string quoted_for_sh(const std::string& text) {
  std::string quoted = "'";
  for (char letter : text) quoted += letter == '\'' ? "'\\''" : std::string(1, letter);
  return quoted + "'";
}

Status log_in(CheckedHost& at, const StopSignal& stop) {
  SshSettings settings;
  settings.stop = &stop;
  TRY(std::unique_ptr<SshSession> session, SshSession::open(*at.target, Deadline::after(kLogin), settings));
  const double before = now_ms();
  TRY(FarRun ran,
      session->run("/bin/sh -s", facts_script(at.entry.workspace), Deadline::after(kScript), &stop));
  Result<HostFacts> facts = parse_facts(ran.out, (before + now_ms()) / 2);
  if (!facts) {
    const std::string said = ran.errors.empty() ? ran.out : ran.errors;
    return Error{Cause::unfit, fmt::format("{}: {}; its login shell must run `/bin/sh`, but said: {}",
                                           session->place(), facts.error().message, trimmed(said))};
  }
  at.facts = *facts;
  return {};
}

void judge_facts(CheckedHost& at) {
  const HostFacts& facts = at.facts;
  if (facts.free_bytes >= 0 && facts.free_bytes < kLittleDisk) {
    at.findings.push_back({false, fmt::format("only {} are free where its workspace is: give it another "
                                              "`workspace`, or make room (`gnnflow gc`)",
                                              format_bytes(static_cast<double>(facts.free_bytes)))});
  }
  if (std::abs(facts.clock_ahead_s) > kClocksApart) {
    at.findings.push_back(
        {false, fmt::format("its clock is {:.0f} s {} ours: times in its logs are hard to "
                            "compare; nothing else depends on them",
                            std::abs(facts.clock_ahead_s), facts.clock_ahead_s > 0 ? "ahead of" : "behind")});
  }
}

Status start(CheckedHost& at, const DaemonGreeting& greeting) {
  TRY(at.host->start_daemon(greeting.lease, greeting.grace, Deadline::after(kStart)));
  const DaemonLink::Sink deaf = [](const std::string&, const Message&) {};
  TRY(at.link, DaemonLink::open(*at.host, greeting, deaf, Deadline::after(kOrder)));
  at.facts.cores = at.link->greeting().integer_or("cores", 0);
  return {};
}

void end(CheckedHost& at) {
  if (!at.link) return;
  if (Result<Message> ended = at.link->order(message_of("forget"), Deadline::after(kOrder)); !ended) {
    at.findings.push_back(
        {false, fmt::format("its daemon did not end as told: {}; its lease ends it", ended.error().message)});
  }
  at.link.reset();
}

// Asks a host from where its packets to the others go out.
struct Asked {
  CheckedHost& at;
  std::vector<WayTo> others;
};

void ask_route(Asked& asked) {
  auto& [at, others] = asked;
  const auto found = [&at](const Error& error) { at.findings.push_back({true, error.message}); };
  Result<Message> answer = at.link->order(route_order(others), Deadline::after(kOrder));
  if (!answer)
    return found(std::move(answer).error().within("asking host " + at.entry.name + " for its routes"));
  RouteFinding route = judge_routes({at.entry.name, at.host->address()}, others, answer->head);
  for (const Error& fault : route.faults) found(fault);
  at.data_address = std::move(route.source);
}

}  // namespace

bool CheckedHost::good() const {
  return std::none_of(findings.begin(), findings.end(), [](const Finding& finding) { return finding.stops; });
}

std::string facts_script(const std::string& workspace) {
  // Of the folders on the way to the workspace the last that is there: on its disk all will lie.
  return fmt::format(
      "echo gnnflow-check\n"
      "uname -s; uname -r; uname -m\n"
      "date +%s\n"
      "place={}\n"
      "case $place in '~/'*) place=$HOME/${{place#??}};; /*) ;; *) place=$HOME/$place;; esac\n"
      "while [ ! -d \"$place\" ]; do place=$(dirname \"$place\"); done\n"
      "df -Pk \"$place\" | tail -n 1\n",
      quoted_for_sh(workspace));
}

Result<HostFacts> parse_facts(std::string_view out, double asked_ms) {
  const size_t begin = out.find(kSentinel);
  const std::vector<std::string> lines =
      begin == std::string_view::npos ? std::vector<std::string>() : split(out.substr(begin), '\n');
  if (lines.size() < 6) return Error{Cause::unfit, "it did not say what it is"};
  const std::optional<int64_t> seconds = parse_integer(trimmed(lines[4]));
  if (!seconds) return Error{Cause::unfit, "it did not say what time it is"};
  HostFacts facts;
  facts.system = fmt::format("{} {} {}", lines[1], lines[2], lines[3]);
  // It says whole seconds: on average it is half a second later.
  facts.clock_ahead_s = static_cast<double>(*seconds) + 0.5 - asked_ms / 1000;
  const int64_t kilobytes = free_kilobytes(lines[5]);
  facts.free_bytes = kilobytes < 0 ? -1 : kilobytes * 1024;
  return facts;
}

void HostsCheck::try_host(CheckedHost& at, const DaemonGreeting& greeting) {
  if (is_here(at)) {
    at.facts.free_bytes = free_bytes_at(at.host->root()).value_or(-1);
  } else if (Status logged_in = log_in(at, stop_); !logged_in) {
    at.findings.push_back({true, logged_in.error().message});
    return;
  }
  judge_facts(at);
  if (Status started = start(at, greeting); !started) at.findings.push_back({true, started.error().message});
}

std::vector<WayTo> HostsCheck::others_of(const CheckedHost& at) const {
  std::vector<WayTo> others;
  for (const CheckedHost& other : hosts_) {
    const std::string address = other.data_address.empty() ? other.host->address() : other.data_address;
    if (&other != &at && other.link && !address.empty()) others.push_back({other.entry.name, address});
  }
  return others;
}

// As a run does it for the hosts of a step: these are all that answer.
void HostsCheck::find_addresses() {
  std::vector<HostEntry> answering;
  CheckedHost* last = nullptr;
  for (CheckedHost& at : hosts_) {
    at.data_address = at.entry.data_address;
    if (!at.link) continue;
    answering.push_back(at.entry);
    last = &at;
  }
  if (answering.size() == 1 && hosts_.size() > 1) {
    return last->findings.push_back({false, "no other host answers: no way to or from it was tried"});
  }
  const DataAddresses settled = settled_addresses(answering);
  for (CheckedHost& at : hosts_) {
    if (const auto found = settled.find(at.entry.name); found != settled.end())
      at.data_address = found->second;
  }
  // The entries of this machine first: far hosts are then asked for the way to those, too.
  for (const bool here : {true, false}) {
    std::vector<Asked> asked;
    for (CheckedHost& at : hosts_) {
      if (!at.link || !at.data_address.empty() || is_here(at) != here) continue;
      asked.push_back({at, others_of(at)});
    }
    on_each(asked, ask_route);
  }
}

std::vector<CheckedPair> HostsCheck::try_ways_to(CheckedHost& to) const {
  std::vector<CheckedPair> ways;
  if (!to.link || to.data_address.empty()) return ways;
  const WayTo way{to.entry.name, to.data_address};
  const Result<Message> listener = to.link->order(listen_order(way.address), Deadline::after(kOrder));
  for (const CheckedHost& from : hosts_) {
    if (&from == &to || !from.link) continue;
    if (is_loopback_way(from.link->greeting(), to.link->greeting(), way.address)) continue;
    CheckedPair pair{from.entry.name, way.host, way.address, ""};
    if (!listener) {
      pair.fault = cannot_listen(way, listener.error()).message;
    } else if (Result<Message> heard = from.link->order(dial_order(way.address, listener->head),
                                                        Deadline::after(kDialLimit + kOrder));
               !heard) {
      pair.fault = cannot_dial(pair.from, way, listener->head, heard.error()).message;
    }
    ways.push_back(std::move(pair));
  }
  return ways;
}

void HostsCheck::try_pairs() {
  struct Target {
    CheckedHost& to;
    std::vector<CheckedPair> ways = {};
  };
  std::vector<Target> targets;
  for (CheckedHost& to : hosts_) targets.push_back({to});
  on_each(targets, [this](Target& target) { target.ways = try_ways_to(target.to); });
  for (Target& target : targets) {
    for (CheckedPair& way : target.ways) pairs_.push_back(std::move(way));
  }
}

void HostsCheck::run(const DaemonGreeting& greeting) {
  on_each(hosts_, [&](CheckedHost& at) { try_host(at, greeting); });
  if (!stop_.raised()) find_addresses();
  if (!stop_.raised()) try_pairs();
  on_each(hosts_, end);
}

bool HostsCheck::good() const {
  return std::all_of(hosts_.begin(), hosts_.end(), [](const CheckedHost& at) { return at.good(); }) &&
         std::all_of(pairs_.begin(), pairs_.end(),
                     [](const CheckedPair& pair) { return pair.fault.empty(); });
}

}  // namespace gnnflow
