// Ranks that work in step: sums, maxima, broadcasts and exchanges. One rank is a group too, and talks to
// nobody.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "worker/trainer/torch_compat.h"

namespace gnnflow {

// Where ranks find each other: the channel to the daemon in a job, memory or files in tests. Any thread.
class Rendezvous {
 public:
  virtual ~Rendezvous() = default;
  virtual Status set(const std::string& key, const std::string& value) = 0;
  virtual Result<std::string> get(const std::string& key,
                                  Deadline deadline) = 0;  // blocks until a peer has set it
};

struct RankGroupOptions {
  int rank = 0;
  int ranks = 1;
  std::string address = "127.0.0.1";    // the one that Gloo binds
  Milliseconds timeout{5 * 60 * 1000};  // of every collective: above the longest link cut to be survived
};

// All ranks call the same functions in the same order, from one thread. Errors are `unreachable` and name the
// collective: a peer died, or did not come in time.
class RankGroup {
 public:
  // `rendezvous` is used only inside of this call. It may be null for one rank.
  static Result<std::unique_ptr<RankGroup>> make(const RankGroupOptions& options, Rendezvous* rendezvous);
  virtual ~RankGroup() = default;

  virtual int rank() const = 0;
  virtual int ranks() const = 0;
  virtual Status sum(torch::Tensor tensor, std::string_view what) = 0;        // in place; f32 or i64
  virtual Status broadcast(torch::Tensor tensor, std::string_view what) = 0;  // from rank 0
  // Row blocks: counts[r] rows of `out` go to rank r; returned are the rows from each rank in order, with
  // their counts.
  struct Rows {
    torch::Tensor rows;
    std::vector<int64_t> counts;
  };
  virtual Result<Rows> exchange(torch::Tensor out, std::vector<int64_t> counts, std::string_view what) = 0;

  Result<std::vector<std::string>> gather(const std::string& text,
                                          std::string_view what);                 // of all ranks, in order
  Result<std::string> broadcast(const std::string& text, std::string_view what);  // rank 0's
  using Texts = std::map<std::string, std::string>;                               // by name
  Result<Texts> broadcast(Texts texts, std::string_view what);                    // rank 0's
  Result<std::vector<int64_t>> gather(int64_t number, std::string_view what);
};

}  // namespace gnnflow
