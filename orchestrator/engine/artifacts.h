// Where pieces lie, whether they are still there, and bringing them to where they are read.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "common/base/stop_signal.h"
#include "orchestrator/engine/host_pool.h"
#include "orchestrator/engine/step.h"
#include "orchestrator/store/run_store.h"
#include "orchestrator/workflow/workflow.h"

namespace gnnflow {

std::string part_name(int part);  // "part-3", the piece of a partition

// What the store says, checked on this machine's file system where that needs no asking. The engine's thread
// only.
class Locations {
 public:
  using Roots =
      std::map<std::string, fs::path, std::less<>>;  // of the hosts whose files this process can see
  Locations(PastResults* store, Roots roots) : store_(store), roots_(std::move(roots)) {}

  // Below the host's root; nothing when no verified copy is there.
  Result<std::optional<std::string>> on(const std::string& host, const std::string& digest,
                                        const std::string& piece) const;
  Result<std::vector<LocationRow>> of(const std::string& digest, const std::string& piece) const;
  // Why a copy that the store knows cannot be used: "file x is gone"; empty: it can, or is on a host that
  // would have to be asked.
  std::string fault(const LocationRow& location) const;
  const Roots& roots() const { return roots_; }
  std::set<std::string> seen() const {  // hosts whose files this machine sees
    std::set<std::string> hosts;
    for (const auto& [host, root] : roots_) hosts.insert(host);
    return hosts;
  }

 private:
  PastResults* store_;
  Roots roots_;
};

// Moves pieces between hosts, always over this machine. The engine's thread only; so are the callbacks.
// `halt` and the pool outlive it: what hosts' threads do may go on when it is gone.
class Artifacts {
 public:
  using Then = std::function<void(Result<fs::path>)>;  // the absolute path on the host
  Artifacts(RunStore& store, HostPool& pool, Locations& locations, const StopSignal& halt)
      : store_(store), pool_(pool), locations_(locations), halt_(halt) {}

  // What lies there already is looked at once in a run: it may have been removed by hand. A copy that turns
  // out to be gone is forgotten, and the next one is taken.
  void bring(const std::string& host, const Piece& piece, Then then);
  // A file or folder of this machine, with the digest of its content.
  void bring_local(const std::string& host, const fs::path& from, const std::string& digest, Then then);
  // The partition that a placement has put on the host.
  Result<fs::path> partition_on(const std::string& host, const std::string& digest);

 private:
  using Key = std::tuple<std::string, std::string, std::string>;  // host, digest, piece
  static Key key_of(const std::string& host, const Piece& piece) { return {host, piece.digest, piece.name}; }
  void look(const LocationRow& copy, std::function<void(Status)> then);
  bool forget_if_gone(const LocationRow& copy, const Error& error);
  void bring_from_others(const std::string& host, const Piece& piece);
  void fetch_from_next(const Piece& piece, std::vector<LocationRow> sources, std::optional<Error> last);
  void fetch(const std::string& source, const std::string& path, const Piece& piece, Then then);
  void send(const std::string& host, const fs::path& from, const Piece& piece, Then then);
  void finish(const std::string& host, const Piece& piece, const Result<fs::path>& result);
  Result<fs::path> arrived(const std::string& host, const Piece& piece, const std::string& path);

  RunStore& store_;
  HostPool& pool_;
  Locations& locations_;
  const StopSignal& halt_;
  std::map<Key, std::vector<Then>> moving_;
  std::set<Key> looked_at_;  // in this run
};

}  // namespace gnnflow
