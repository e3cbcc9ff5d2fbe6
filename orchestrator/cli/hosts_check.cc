// All hosts at once: login, daemon; then addresses; then who hears whom.
#include "orchestrator/cli/hosts_check.h"

#include <algorithm>
#include <cmath>
#include <thread>

#include <fmt/format.h>

#include "common/base/incoming.h"
#include "common/base/text.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kLogin{45'000};
constexpr Milliseconds kScript{20'000};
constexpr Milliseconds kStart{60'000};
constexpr Milliseconds kOrder{30'000};
constexpr Milliseconds kDial{10'000};
constexpr int64_t kListenSeconds = 60;
constexpr int64_t kLittleDisk = int64_t{1} << 30;
constexpr double kClocksApart = 30;
constexpr std::string_view kSentinel = "gnnflow-check\n";
constexpr const char* kLoopback = "127.0.0.1";

Message order_of(std::string_view type) {
  Message order;
  order.head["type"] = type;
  return order;
}

double now_ms() { return static_cast<double>(system_clock().unix_milliseconds()); }

// Calls `work` for all of them, each on a thread of its own.
void on_each(std::vector<CheckedHost>& hosts, const std::function<void(CheckedHost&)>& work) {
  std::vector<std::jthread> threads;
  for (CheckedHost& at : hosts) threads.emplace_back([&work, &at] { work(at); });
}

bool is_here(const CheckedHost& at) { return at.entry.address == "local"; }
bool is_loopback(std::string_view address) { return address.starts_with("127.") || address == "::1"; }

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

Status log_in(CheckedHost& at) {
  TRY(std::unique_ptr<SshSession> session, SshSession::open(*at.target, Deadline::after(kLogin)));
  const double before = now_ms();
  TRY(FarRun ran, session->run("/bin/sh -s", facts_script(at.entry.workspace), Deadline::after(kScript)));
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
  if (Result<Message> ended = at.link->order(order_of("forget"), Deadline::after(kOrder)); !ended) {
    at.findings.push_back(
        {false, fmt::format("its daemon did not end as told: {}; its lease ends it", ended.error().message)});
  }
  at.link.reset();
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
  } else if (Status logged_in = log_in(at); !logged_in) {
    at.findings.push_back({true, logged_in.error().message});
    return;
  }
  judge_facts(at);
  if (Status started = start(at, greeting); !started) at.findings.push_back({true, started.error().message});
}

// As a run does it: `data_address`, else loopback when all are this machine, else from where packets to the
// others go out.
void HostsCheck::find_addresses() {
  const bool all_here = std::all_of(hosts_.begin(), hosts_.end(), is_here);
  for (CheckedHost& at : hosts_) {
    at.data_address = at.entry.data_address;
    if (at.data_address.empty() && all_here) at.data_address = kLoopback;
  }
  // The entries of this machine first: far hosts are then asked for the way to those, too.
  for (const bool here : {true, false}) {
    for (CheckedHost& at : hosts_) {
      if (at.link && at.data_address.empty() && is_here(at) == here) ask_route(at);
    }
  }
}

void HostsCheck::ask_route(CheckedHost& at) {
  Json::Array to;
  for (const CheckedHost& other : hosts_) {
    const std::string target = other.data_address.empty() ? other.host->address() : other.data_address;
    if (&other != &at && other.link && !target.empty()) to.push_back(target);
  }
  if (to.empty()) {  // nobody to ask the way to
    at.data_address = at.host->address();
    if (!at.data_address.empty() || hosts_.size() == 1) return;
    at.findings.push_back(
        {true, "no address is known under which the others reach it: give it a `data_address`"});
    return;
  }
  Message order = order_of("route");
  order.head["to"] = Json(to);
  Result<Message> answer = at.link->order(std::move(order), Deadline::after(kOrder));
  if (!answer) {
    at.findings.push_back({true, "asking for its routes: " + answer.error().message});
    return;
  }
  const Json& from = answer->head.get("from");
  for (size_t i = 0; i < to.size(); ++i) {
    const bool there = from.is_array() && i < from.array().size() && from.array()[i].is_string();
    const std::string source = there ? from.array()[i].string() : "";
    if (source.empty()) {
      at.findings.push_back(
          {true, fmt::format("it has no route to {}: give that host the `data_address` under "
                             "which it is reached from {}",
                             to[i].string(), at.entry.name)});
    } else if (!at.data_address.empty() && at.data_address != source) {
      at.findings.push_back({true, fmt::format("it reaches the others from {} and from {}: give it the "
                                               "`data_address` that all of them can reach",
                                               at.data_address, source)});
    } else {
      at.data_address = source;
    }
  }
}

CheckedPair HostsCheck::dial(const CheckedHost& from, const CheckedHost& to,
                             const Result<Message>& listener) const {
  CheckedPair pair{from.entry.name, to.entry.name, to.data_address, ""};
  if (!listener) {
    pair.fault =
        fmt::format("{} cannot listen there: {}; its `data_address` must be an address of that machine",
                    to.entry.name, listener.error().message);
    return pair;
  }
  Message order = order_of("dial");
  order.head["address"] = to.data_address;
  order.head["port"] = listener->head.integer_or("port", 0);
  order.head["nonce"] = listener->head.text_or("nonce", "");
  order.head["timeout_ms"] = kDial.count();
  const Result<Message> answer = from.link->order(std::move(order), Deadline::after(kDial + kOrder));
  if (!answer) {
    pair.fault = fmt::format(
        "{}; open the ports of {} to {}, or give {} the `data_address` under which {} can "
        "reach it",
        answer.error().message, pair.to, pair.from, pair.to, pair.from);
  }
  return pair;
}

void HostsCheck::try_pairs() {
  std::vector<std::vector<CheckedPair>> found(hosts_.size());
  std::vector<std::jthread> threads;
  for (size_t i = 0; i < hosts_.size(); ++i) {
    threads.emplace_back([this, &to = hosts_[i], &pairs = found[i]] {
      if (!to.link || to.data_address.empty()) return;
      Message order = order_of("listen");
      order.head["address"] = to.data_address;
      order.head["seconds"] = kListenSeconds;
      const Result<Message> listener = to.link->order(std::move(order), Deadline::after(kOrder));
      for (const CheckedHost& from : hosts_) {
        if (&from == &to || !from.link) continue;
        const Json& one = from.link->greeting();
        const bool same = one.text_or("boot", "") == to.link->greeting().text_or("boot", "-");
        if (same && is_loopback(to.data_address)) continue;  // one machine
        pairs.push_back(dial(from, to, listener));
      }
    });
  }
  threads.clear();
  for (std::vector<CheckedPair>& pairs : found) {
    for (CheckedPair& pair : pairs) pairs_.push_back(std::move(pair));
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
