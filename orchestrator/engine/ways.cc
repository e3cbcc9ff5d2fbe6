// Orders, and words for what their answers show.
#include "orchestrator/engine/ways.h"

#include <algorithm>

#include "common/wire/message_of.h"

namespace gnnflow {
namespace {

constexpr const char* kLoopback = "127.0.0.1";
constexpr int64_t kListenSeconds = 60;

bool is_loopback(std::string_view address) { return address.starts_with("127.") || address == "::1"; }

std::string text_of(const WayTo& to) { return to.host + " (" + to.address + ")"; }

}  // namespace

DataAddresses settled_addresses(const std::vector<HostEntry>& hosts) {
  const bool all_here =
      hosts.size() == 1 ||
      std::all_of(hosts.begin(), hosts.end(), [](const HostEntry& host) { return host.address == "local"; });
  DataAddresses settled;
  for (const HostEntry& host : hosts) {
    if (!host.data_address.empty() || all_here) {
      settled[host.name] = host.data_address.empty() ? kLoopback : host.data_address;
    }
  }
  return settled;
}

Message route_order(const std::vector<WayTo>& others) {
  Json::Array to;
  for (const WayTo& other : others) to.push_back(other.address);
  return message_of("route", {{"to", Json(std::move(to))}});
}

RouteFinding judge_routes(const WayTo& host, const std::vector<WayTo>& others, const Json& answer) {
  const Json& sources = answer.get("from");
  RouteFinding finding;
  std::string towards;
  for (size_t i = 0; i < others.size(); ++i) {
    const bool there = sources.is_array() && i < sources.array().size() && sources.array()[i].is_string();
    const std::string source = there ? sources.array()[i].string() : "";
    if (source.empty()) {
      finding.faults.push_back(
          {Cause::unreachable, "host " + host.host + " has no route to " + text_of(others[i]) + ": give " +
                                   others[i].host +
                                   " the `data_address` under which it is reached from there"});
    } else if (finding.source.empty()) {
      finding.source = source;
      towards = text_of(others[i]);
    } else if (source != finding.source) {
      finding.faults.push_back({Cause::bad_workflow, "host " + host.host + " reaches " + towards +
                                                         " from its address " + finding.source + ", but " +
                                                         text_of(others[i]) + " from " + source + ": give " +
                                                         host.host +
                                                         " the `data_address` that all of them can reach"});
    }
  }
  if (others.empty()) finding.source = host.address;
  if (finding.source.empty() && finding.faults.empty()) {
    finding.faults.push_back({Cause::bad_workflow, "no address is known under which others reach host " +
                                                       host.host + ": give it a `data_address`"});
  }
  return finding;
}

bool is_loopback_way(const Json& greeting, const Json& other, std::string_view address) {
  const std::string boot = greeting.text_or("boot", "");
  return !boot.empty() && boot == other.text_or("boot", "") && is_loopback(address);
}

Message listen_order(const std::string& address) {
  return message_of("listen", {{"address", address}, {"seconds", kListenSeconds}});
}

Message dial_order(const std::string& address, const Json& listener) {
  return message_of("dial", {{"address", address},
                             {"port", listener.integer_or("port", 0)},
                             {"nonce", listener.text_or("nonce", "")},
                             {"timeout_ms", kDialLimit.count()}});
}

Error cannot_listen(const WayTo& to, const Error& why) {
  return {why.cause, "host " + to.host + " cannot listen on " + to.address + ": " + why.message +
                         "; its `data_address` must be an address of that machine"};
}

Error cannot_dial(const std::string& from, const WayTo& to, const Json& listener, const Error& why) {
  return {why.cause, "host " + from + " cannot reach host " + to.host + " at " + to.address + " (port " +
                         std::to_string(listener.integer_or("port", 0)) + "): " + why.message +
                         "; open the ports of " + to.host + " to " + from + ", or give " + to.host +
                         " the `data_address` under which " + from + " can reach it"};
}

}  // namespace gnnflow
