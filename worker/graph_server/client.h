// A client of one graph server: asks ahead, asks again after silence, and says plainly why nothing comes.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/stop_signal.h"
#include "worker/graph_server/codec.h"
#include "worker/graph_server/graph_source.h"
#include "worker/graph_server/sharded_graph.h"

namespace gnnflow {

struct RemoteOptions {
  ServerAddress server;
  KeyPair keys;
  std::string digest;  // of the partition, as this side has it
  Milliseconds deadline{60'000}, retry{2'000};
  const StopSignal* stop = nullptr;
};

// One request for rows or neighbours. `nodes` are borrowed until it is answered.
struct Question {
  Operation operation = Operation::rows;
  uint16_t index = 0;  // of the node type or relation
  int16_t fanout = 0;
  uint64_t layer_key = 0;
  std::span<const int32_t> nodes = {};
  size_t tag = 0;  // the caller's
};

// One thread at a time.
class RemotePart {
 public:
  // Called for each answer, which is checked but for ids and columns; it may take the frames. Neighbours that
  // were too many for one reply come as several answers, each for a piece of the nodes that were asked for.
  using Use = std::function<Status(const Question&, const Reply&, Frames& frames)>;

  // Connects in the background and asks `hello`: collect() tells how it went.
  static Result<std::unique_ptr<RemotePart>> open(SocketContext& context, RemoteOptions options);

  // Sends it now if there is room among those under way, else during collect().
  void ask(const Question& question);
  // Until everything asked is answered, or the first error; after one nothing is under way. `unreachable`:
  // the server cannot be reached, refuses our key, has another key, or did not answer within the deadline.
  Status collect(const Use& use);
  void forget() { asked_.clear(); }  // late answers have ids that nobody waits for
  // What the server counts, as JSON.
  Result<std::string> stats();
  void add_counters(SourceCounters& counters);  // and sets them back

 private:
  struct Asked {
    Question question;
    uint64_t id = 0;
    bool sent = false;
    Monotonic deadline{}, ask_again{};
  };

  RemotePart(SocketContext& context, RemoteOptions options)
      : context_(context), options_(std::move(options)) {}
  Status connect();
  void send(Asked& asked, bool again);
  void send_some();
  void send_all_again();
  Status look_at_connection();
  Status handle(Frames& frames, const Use& use);
  Status handle_answer(std::deque<Asked>::iterator asked, const Reply& reply, Frames& frames, const Use& use);
  void ask_in_halves(Question question);
  Status ask_silent_again();
  Monotonic next_event() const;
  Error error(Cause cause, std::string_view what) const;
  Status collect_answers(const Use& use);

  SocketContext& context_;
  RemoteOptions options_;
  std::unique_ptr<Socket> socket_;
  std::deque<Asked> asked_;
  Frames frames_, outgoing_;
  std::string stats_;
  uint64_t last_id_ = 0;
  bool greeted_ = false;     // a handshake succeeded once
  int failures_ = 0;         // handshakes that broke since the last that succeeded
  Monotonic first_failure_;  // of those
  bool refused_ = false;     // the last failure was a refusal of our key
  Monotonic reopen_at_ = Monotonic::max();
  SourceCounters counters_;
};

}  // namespace gnnflow
