// Every host of a workflow and every pair of them, tried as a step on all of them would use them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/json.h"
#include "common/base/result.h"
#include "common/base/stop_signal.h"
#include "orchestrator/engine/ways.h"
#include "orchestrator/remote/daemon_link.h"
#include "orchestrator/remote/host.h"
#include "orchestrator/remote/ssh_session.h"
#include "orchestrator/workflow/workflow.h"

namespace gnnflow {

struct Finding {
  bool stops = true;  // a run; else it is only worth knowing
  std::string text;   // what is wrong and what to do
};

// What a login to a host has shown.
struct HostFacts {
  std::string system;  // "Linux 6.1.0 x86_64"
  int64_t cores = 0;
  int64_t free_bytes = -1;  // where its workspace is; -1: not known
  double clock_ahead_s = 0;
};

struct CheckedHost {
  HostEntry entry;
  std::unique_ptr<Host> host;
  std::optional<SshTarget> target = {};  // of an entry of another machine
  std::unique_ptr<DaemonLink> link = nullptr;
  HostFacts facts = {};
  std::string data_address = {};  // where the others reach it; empty: not known
  std::vector<Finding> findings = {};

  bool good() const;
};

struct CheckedPair {
  std::string from, to, address;
  std::string fault;  // empty: it can be reached
};

// The answer of the script that is run by the login shell of a host; `asked_ms` is when, by our clock.
Result<HostFacts> parse_facts(std::string_view out, double asked_ms);
std::string facts_script(const std::string& workspace);  // for /bin/sh -s

class HostsCheck {
 public:
  HostsCheck(std::vector<CheckedHost> hosts, const StopSignal& stop)
      : hosts_(std::move(hosts)), stop_(stop) {}

  // Nothing of it runs any more when it returns, on no host that could be reached.
  void run(const DaemonGreeting& greeting);
  const std::vector<CheckedHost>& hosts() const { return hosts_; }
  const std::vector<CheckedPair>& pairs() const { return pairs_; }
  bool good() const;

 private:
  void try_host(CheckedHost& at, const DaemonGreeting& greeting);
  void find_addresses();
  std::vector<WayTo> others_of(const CheckedHost& at) const;
  void try_pairs();
  std::vector<CheckedPair> try_ways_to(CheckedHost& to) const;

  std::vector<CheckedHost> hosts_;
  const StopSignal& stop_;
  std::vector<CheckedPair> pairs_;
};

std::string check_text(const std::string& workflow, const HostsCheck& check);
Json check_json(const std::string& workflow, const HostsCheck& check);

}  // namespace gnnflow
