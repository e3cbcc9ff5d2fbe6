// The checkpoints of one training: copied here while it goes on, found again on whatever host has them,
// brought to where it goes on.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/stop_signal.h"
#include "orchestrator/engine/workbench.h"

namespace gnnflow {

struct FoundCheckpoint {
  int64_t epoch = 0;
  std::string host;
  std::optional<Piece> result;  // it is the last one of this finished result
};

// Below a host's root; in it a folder for each epoch.
fs::path checkpoints_path(const std::string& step, const std::string& resume_key);
// Of such a folder of this machine, the newest first; what is not complete is none.
std::vector<int64_t> complete_checkpoints(const fs::path& folder);

// Checkpoints lie in checkpoints/<step>/<resume key>/<epoch>/ below a host's root, with checkpoint.json last
// (docs/formats.md); the store knows which hosts have such a folder. Belongs to an attempt; the engine's
// thread only.
class Checkpoints {
 public:
  // Above `most_bytes` a checkpoint is not copied; 0: none is.
  Checkpoints(Workbench& bench, std::string step, std::string resume_key, int64_t most_bytes);

  fs::path folder(const std::string& host) const;  // absolute there
  void may_be_on(const std::string& host);         // stored before the first is made there
  // One was made. A newer one takes the place of one that waits to be copied.
  void made(const std::string& host, int64_t epoch, int64_t bytes);
  void copy_next();  // in the background, what waits; not before what made() has written is committed
  void stop();       // what is being copied stays unfinished

  // All that could be had, the best first: the newest, and of these the one that is nearest to `host`.
  // `unreachable` when `host` itself gives no answer.
  using Found = std::vector<FoundCheckpoint>;
  void find(const std::string& host, int64_t most_epochs, std::function<void(Result<Found>)> then);
  // To `host`, complete; the path there.
  void bring(const std::string& host, const FoundCheckpoint& checkpoint,
             std::function<void(Result<fs::path>)> then);
  // Hosts that may have had some and could not be asked by the last find().
  const std::set<std::string>& out_of_reach() const { return out_of_reach_; }

  // Everywhere: the result of `epochs` holds what is still wanted. None, when a longer training has not ended:
  // a quick look with fewer epochs costs it nothing.
  void remove(int64_t epochs, std::function<void()> then);

 private:
  struct Search;
  using SearchPtr = std::shared_ptr<Search>;
  fs::path path() const { return checkpoints_path(step_, resume_key_); }
  LocationRow row(const std::string& host, bool verified) const;
  std::vector<LocationRow> rows();
  void copied(int64_t epoch, const Status& status);
  void ask(const SearchPtr& search, const std::string& host);
  void add_results(Search& search);
  void answered(const SearchPtr& search);
  void finish(const SearchPtr& search);
  void bring_result(const std::string& host, const Piece& piece, std::function<void(Result<fs::path>)> then);
  void fetch(const FoundCheckpoint& checkpoint, std::function<void(Status)> then);
  void send(const std::string& host, int64_t epoch, std::function<void(Status)> then);
  bool go_beyond(int64_t epochs);
  void remove_rows_and_folders(const std::function<void()>& then);

  Workbench& bench_;
  const std::string step_, resume_key_;
  const int64_t most_bytes_;
  std::shared_ptr<StopSignal> stop_ = std::make_shared<StopSignal>();  // outlives this in jobs of hosts
  std::set<std::string> known_;                                        // hosts whose row is `verified`
  std::set<std::string> out_of_reach_;
  int64_t newest_ = 0;  // of those copied, or waiting for it
  std::optional<FoundCheckpoint> waiting_;
  bool copying_ = false, told_size_ = false;
  std::function<void()> when_idle_;
};

}  // namespace gnnflow
