// By which addresses hosts reach each other: what is asked of them, and what their answers mean. Pure, shared
// by runs and by `gnnflow hosts check`, so that both judge alike and say the same words.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/result.h"
#include "common/wire/message.h"
#include "orchestrator/workflow/workflow.h"

namespace gnnflow {

using DataAddresses = std::map<std::string, std::string>;  // host -> numeric address

// Of those hosts of which nobody has to be asked: `data_address`, else loopback when there is only one host
// or all are this machine.
DataAddresses settled_addresses(const std::vector<HostEntry>& hosts);

// A host, and where others would send to.
struct WayTo {
  std::string host, address;
};

// What its routes say of a host: from where its packets to the others go out, or why there is no one answer.
struct RouteFinding {
  std::string source;
  std::vector<Error> faults;
};

Message route_order(const std::vector<WayTo>& others);
// `answer`: the head of the answer to route_order(others). Without others it is the address under which the
// host is reached from here, which may be empty: not known.
RouteFinding judge_routes(const WayTo& host, const std::vector<WayTo>& others, const Json& answer);

// Both greetings are of one machine, and the address is its loopback: there is nothing to try.
bool is_loopback_way(const Json& greeting, const Json& other, std::string_view address);

// The host that is to be heard listens, each of the others dials: `listener` is the head of its answer.
constexpr Milliseconds kDialLimit{10'000};
Message listen_order(const std::string& address);
Message dial_order(const std::string& address, const Json& listener);
Error cannot_listen(const WayTo& to, const Error& why);
Error cannot_dial(const std::string& from, const WayTo& to, const Json& listener, const Error& why);

}  // namespace gnnflow
