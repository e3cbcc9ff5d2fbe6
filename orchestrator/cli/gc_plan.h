// What `gnnflow gc` keeps of all that a store has on its hosts, from its rows alone: pure.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "orchestrator/store/run_store.h"

namespace gnnflow {

// What the store says, read at once.
struct GcRows {
  std::string store_id;
  std::vector<std::string> steps;                   // of the present workflow
  std::vector<AttemptRow> attempts;                 // all of them
  std::map<int64_t, std::vector<PieceRow>> pieces;  // of those that succeeded
  std::vector<LocationRow> locations;               // all of them
  std::set<int64_t> last_runs;                      // the attempts that the runs to be kept refer to
  int keep = 1;                                     // how many results of each step
};

// One thing that lies on a host, below its root: a result, a placed partition, a log.
struct StoredThing {
  std::string path;
  int64_t bytes = 0;
  int64_t changed_ms = 0;
};

// Kept are the newest results of each step of the workflow, what the last runs and unfinished attempts refer
// to, and what all of these have read. REQUIRES: the rows outlive it. Any thread may ask.
class GcPlan {
 public:
  GcPlan(const GcRows& rows, int64_t now_ms);

  // A path of an unknown sort is kept.
  bool keeps(const std::string& host, const StoredThing& thing) const;
  // Is it of an attempt that has not ended? Such jobs are left alone.
  bool is_unfinished(std::string_view token) const;
  // Rows that must go before the files of their host do.
  std::vector<LocationRow> rows_to_remove(const std::string& host) const;

 private:
  void keep(const AttemptRow& attempt);
  bool keeps_output(const std::string& host, const std::string& path) const;
  bool keeps_data(const std::string& host, const std::string& path) const;

  const GcRows& rows_;
  int64_t now_ms_;
  std::set<std::string> digests_;     // of pieces and placed partitions
  std::set<std::string> files_;       // digests of files of the user's
  std::set<std::string> folders_;     // below outputs/ and checkpoints/
  std::set<std::string> tokens_;      // beginnings, of attempts whose logs are kept
  std::set<std::string> unfinished_;  // likewise, of attempts that have not ended
};

// "graph, attempt 3": for people.
std::string describe(const StoredThing& thing);

}  // namespace gnnflow
