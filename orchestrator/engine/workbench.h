// What everything in the engine works with during one run. The engine's thread only.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "orchestrator/engine/artifacts.h"
#include "orchestrator/engine/cores.h"
#include "orchestrator/engine/decide.h"
#include "orchestrator/engine/host_pool.h"
#include "orchestrator/engine/network.h"
#include "orchestrator/engine/run_observer.h"
#include "orchestrator/engine/step.h"
#include "orchestrator/store/run_store.h"
#include "orchestrator/workflow/workflow.h"

namespace gnnflow {

// Functions to be called at a later time, by the engine's clock.
class Timers {
 public:
  explicit Timers(const Clock& clock) : clock_(clock) {}
  void after(Milliseconds length, std::function<void()> call) {
    waiting_.emplace_back(clock_.now() + length, std::move(call));
  }
  void run_due() {
    const auto now = clock_.now();
    std::vector<std::function<void()>> due;
    std::erase_if(waiting_, [&](auto& timer) {
      if (timer.first > now) return false;
      due.push_back(std::move(timer.second));
      return true;
    });
    for (auto& call : due) call();
  }

 private:
  const Clock& clock_;
  std::vector<std::pair<Monotonic, std::function<void()>>> waiting_;
};

struct Workbench {
  const Workflow& workflow;
  const StepKinds& kinds;
  RunStore& store;
  HostPool& pool;
  Locations& locations;
  Artifacts& artifacts;
  Network& network;
  Cores& cores;
  RunObserver& observer;
  const Clock& clock;
  Timers& timers;
  const MadeSteps& made;
  int64_t run = 0;
  std::optional<Error> broken;  // the first commit that failed: nothing may be done after it but to end

  void commit(Status status) {
    if (!status && !broken) broken = std::move(status).error();
  }
  // What `writes` commits is one commit.
  void together(const std::function<void()>& writes) {
    commit(store.together([&] {
      writes();
      return Status();
    }));
  }
  template <typename T>
  std::optional<T> read(Result<T> result) {
    if (result) return std::move(result).value();
    if (!broken) broken = std::move(result).error();
    return std::nullopt;
  }
};

}  // namespace gnnflow
