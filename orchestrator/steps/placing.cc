// Which host gets which parts, and what each rank does with them.
#include "orchestrator/steps/placing.h"

#include <algorithm>

namespace gnnflow {
namespace {

std::vector<std::string> host_order(const Workflow& workflow) {
  std::vector<std::string> order{std::string(kController)};
  for (const HostEntry& host : workflow.hosts) order.push_back(host.name);
  return order;
}

}  // namespace

Result<Holders> place_parts(int parts, const Json& place, const Workflow& workflow) {
  Holders holders;
  if (!place.is_object()) {
    for (int part = 0; part < parts; ++part) {
      holders[part] = {workflow.hosts.empty()
                           ? std::string(kController)
                           : workflow.hosts[static_cast<size_t>(part) % workflow.hosts.size()].name};
    }
    return holders;
  }
  for (const std::string& host : host_order(workflow)) {
    const Json& list = place.get(host);
    if (!list.is_array()) continue;
    for (const Json& part : list.array()) {
      if (!part.is_integer() || part.integer() < 0 || part.integer() >= parts) {
        return Error{Cause::bad_workflow, "'place' gives part " + part.dump() + " to " + host +
                                              ", but the partition has parts 0 to " +
                                              std::to_string(parts - 1)};
      }
      holders[static_cast<int>(part.integer())].push_back(host);
    }
  }
  for (int part = 0; part < parts; ++part) {
    if (holders.count(part) == 0)
      return Error{Cause::bad_workflow, "'place' gives part " + std::to_string(part) + " to no host"};
  }
  return holders;
}

std::vector<RankLayout> lay_out_ranks(const Holders& holders, int per_host, const Workflow& workflow) {
  std::vector<RankLayout> ranks;
  for (const std::string& host : host_order(workflow)) {
    RankLayout rank;
    rank.host = host;
    for (const auto& [part, hosts] : holders) {
      if (std::find(hosts.begin(), hosts.end(), host) != hosts.end()) rank.parts_here.push_back(part);
    }
    if (!rank.parts_here.empty()) ranks.insert(ranks.end(), static_cast<size_t>(per_host), rank);
  }
  for (const auto& [part, hosts] : holders) {
    std::vector<RankLayout*> sharing;
    for (RankLayout& rank : ranks) {
      if (std::find(rank.parts_here.begin(), rank.parts_here.end(), part) != rank.parts_here.end())
        sharing.push_back(&rank);
    }
    for (size_t i = 0; i < sharing.size(); ++i) {
      sharing[i]->seeds.push_back({part, static_cast<int>(i), static_cast<int>(sharing.size())});
    }
  }
  return ranks;
}

Json seeds_json(const std::vector<SeedSlice>& seeds) {
  Json list = Json(Json::Array{});
  for (const SeedSlice& seed : seeds) {
    list.push_back(Json::Object{{"part", seed.part}, {"slice", seed.slice}, {"slices", seed.slices}});
  }
  return list;
}

Json layout_key(const std::vector<RankLayout>& ranks) {
  Json list = Json(Json::Array{});
  for (const RankLayout& rank : ranks) {
    Json entry;
    entry["parts"] = Json(Json::Array(rank.parts_here.begin(), rank.parts_here.end()));
    entry["seeds"] = seeds_json(rank.seeds);
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace gnnflow
