// Which host gets which parts, which ranks there are, and whose nodes each rank trains on. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/base/json.h"
#include "common/base/result.h"
#include "orchestrator/engine/step.h"

namespace gnnflow {

// As `place` says (host -> list of parts), else parts in turn over the hosts in file order; without hosts on
// the controller. `bad_workflow` when a part has no host, or there is no such part.
Result<Holders> place_parts(int parts, const Json& place, const Workflow& workflow);

// The nodes of a part that a rank trains on: slice `slice` of `slices`.
struct SeedSlice {
  int part = 0, slice = 0, slices = 1;
};

struct RankLayout {
  std::string host;
  std::vector<int> parts_here;
  std::vector<SeedSlice> seeds;
};

// `per_host` ranks on each host that has a part; hosts in file order, the controller first. Ranks that hold
// the same part share its nodes.
std::vector<RankLayout> lay_out_ranks(const Holders& holders, int per_host, const Workflow& workflow);

// What the layout adds to a key: no names of hosts.
Json layout_key(const std::vector<RankLayout>& ranks);
Json seeds_json(const std::vector<SeedSlice>& seeds);

}  // namespace gnnflow
