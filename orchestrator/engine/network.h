// Under which address each host of a run is reached by the others with data, and the proof that it is.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "orchestrator/engine/host_pool.h"
#include "orchestrator/engine/ways.h"
#include "orchestrator/workflow/workflow.h"

namespace gnnflow {

// The engine's thread only; lives until the run has ended. What was tried once holds as long as the daemons
// live.
class Network {
 public:
  using Then = std::function<void(Result<DataAddresses>)>;
  Network(const Workflow& workflow, HostPool& pool) : workflow_(workflow), pool_(pool) {}

  // The address of each host: the settled one, else the one from which packets go to the others. Then every
  // pair of machines is tried once, both ways.
  // REQUIRES: the daemons of the hosts were reached.
  void prepare(const std::set<std::string>& hosts, Then then);

 private:
  struct Survey;
  using SurveyPtr = std::shared_ptr<Survey>;
  HostEntry entry_of(const std::string& host) const;
  bool is_here(const std::string& host) const { return entry_of(host).address == "local"; }
  std::string daemon_of(const std::string& host) const;
  void ask_far_addresses(const SurveyPtr& survey);
  void ask_routes(const SurveyPtr& survey, bool from_here);
  void take_route(Survey& survey, const std::string& host, const std::vector<WayTo>& others,
                  const Json& answer);
  void try_pairs(const SurveyPtr& survey);
  void try_host(const SurveyPtr& survey, const WayTo& to, const std::vector<std::string>& from);
  void dial(const SurveyPtr& survey, const std::string& from, const WayTo& to, const Json& listener);
  // One answer is there; the last one goes on.
  void answered(const SurveyPtr& survey, const std::function<void()>& next);
  void finish(const SurveyPtr& survey);

  const Workflow& workflow_;
  HostPool& pool_;
  std::map<std::set<std::string>, SurveyPtr> under_way_;
  std::set<std::string> tried_;  // pairs with their daemons and addresses
};

}  // namespace gnnflow
