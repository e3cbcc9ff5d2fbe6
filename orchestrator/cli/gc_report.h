// What gc has removed, or would remove: as text for people and as JSON for programs.
#pragma once

#include <string>
#include <vector>

#include "common/base/json.h"
#include "orchestrator/cli/gc_hosts.h"

namespace gnnflow {

struct GcScene {
  std::string workflow;
  bool dry_run = false;
};

std::string gc_text(const GcScene& scene, const std::vector<HostTidy>& hosts);
Json gc_json(const GcScene& scene, const std::vector<HostTidy>& hosts);

}  // namespace gnnflow
