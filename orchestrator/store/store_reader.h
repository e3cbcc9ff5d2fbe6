// The state as it is seen without holding it, beside whoever does.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/file.h"
#include "common/base/result.h"
#include "orchestrator/store/past_results.h"
#include "orchestrator/store/run_rows.h"

namespace gnnflow {

// Read-only, beside a living controller or without one.
class StoreReader final : public PastResults {
 public:
  static Result<StoreReader> open(const fs::path& folder);  // not_found when there is none
  StoreReader(StoreReader&&) noexcept;
  StoreReader& operator=(StoreReader&&) noexcept;
  ~StoreReader() override;
  Result<RunStatus> status(std::optional<int64_t> run = {});  // the last run; not_found when there is none
  Result<std::vector<RunRow>> runs();
  Result<std::vector<EventRow>> events(int64_t run, int64_t after);  // the next 10,000 at most
  Result<std::string> store_id();
  Result<StoreOwner> owner();
  Status check_owner(const StoreOwner& wanted);  // as RunStore::open()
  bool controller_alive();
  // "process 12 on box since ..."; nothing while it cannot be said.
  Result<std::optional<std::string>> holder();
  Status remember_digest(const fs::path& file, std::string_view stamp, std::string_view digest) override;
  // Ask the living controller to stop the run (table `request`). not_found: no such run, or it does not run.
  static Status request_stop(const fs::path& folder, int64_t run);

 private:
  struct State;
  explicit StoreReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace gnnflow
