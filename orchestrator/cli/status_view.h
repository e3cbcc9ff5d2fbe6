// A run's state as text for people and as JSON for programs.
#pragma once

#include <string>

#include "common/base/json.h"
#include "orchestrator/store/run_store.h"

namespace gnnflow {

struct StatusScene {
  std::string workflow;  // its name, or its state folder
  int64_t now_ms = 0;
  bool colour = false;
};

std::string status_text(const RunStatus& status, const StatusScene& scene);
Json status_json(const RunStatus& status, const StatusScene& scene);

// Of `status --exit-code`.
int status_exit_code(const RunStatus& status);

}  // namespace gnnflow
