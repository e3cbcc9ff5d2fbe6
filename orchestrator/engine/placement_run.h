// An attempt of a placement: each host is sent the files of its parts that it lacks, several hosts at a time.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/wire/progress.h"
#include "orchestrator/engine/attempt.h"
#include "orchestrator/engine/workbench.h"

namespace gnnflow {

// Of the way to a host or its daemon, not of what was to be done there.
inline bool is_connection(Cause cause) { return cause == Cause::unreachable || cause == Cause::temporary; }

struct PlacementSetup {
  const StepEntry* step = nullptr;
  AttemptRow row;
  std::vector<TaskRow> tasks;  // one per host
  Made made;                   // what shall be where
  Piece partition;             // as it was published
  fs::path worker;             // lists the files of a part
};

// The engine's thread only; lives until the run has ended.
class PlacementRun {
 public:
  using Ended = std::function<void(PlacementRun&)>;
  PlacementRun(Workbench& bench, PlacementSetup setup, const StopSignal& halt, Ended ended);

  void begin();
  void cancel(Cause cause, std::string why);  // transfers hear the halt signal
  bool over() const { return over_; }
  bool ending() const { return cancelled_ || over_; }
  const AttemptRow& row() const { return row_; }
  const StepEntry& step() const { return *step_; }
  const AttemptEnd& end() const { return end_; }
  const std::string& summary() const { return summary_; }  // what was sent

 private:
  using Files = std::vector<HostFile>;
  using PartFiles = std::map<int, Files>;
  void list(const fs::path& partition);
  void listed(const fs::path& partition, Result<PartFiles> files);
  struct Shipment;  // to one host
  void send(size_t task, const fs::path& partition);
  std::shared_ptr<Shipment> shipment_for(size_t task, const fs::path& partition);
  // On the host's thread, which may outlive this when a run leaves a host that hangs.
  static Status ship(Host& host, Shipment& shipment, const StopSignal& halt);
  void begun(size_t task);
  void tell(size_t task, const Progress& progress);
  void sent(size_t task, Status status);
  void end_task(TaskRow& task, const Status& status);
  Status stored_on(const std::string& host, const std::string& path);
  bool holds(const std::string& host, int part);
  std::vector<int> parts_of(const std::string& host) const;
  void fail(const Error& error);
  void store_bad_end();
  void finish();

  Workbench& bench_;
  const StepEntry* step_;
  AttemptRow row_;
  std::vector<TaskRow> tasks_;
  Made made_;
  Piece partition_;
  fs::path worker_;
  const StopSignal& halt_;
  Ended ended_;
  PartFiles files_;
  AttemptEnd end_{AttemptState::succeeded, Cause::failed, "", ""};
  std::string summary_;
  int64_t bytes_sent_ = 0, bytes_there_ = 0;
  int open_ = 0;
  bool cancelled_ = false, over_ = false;
};

}  // namespace gnnflow
