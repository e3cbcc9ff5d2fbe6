// A graph server: one thread at the socket, others that answer from mapped memory.
#include "worker/graph_server/server.h"

#include <algorithm>
#include <mutex>
#include <thread>

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/queue.h"
#include "worker/graph_server/answerer.h"

namespace gnnflow {
namespace {

constexpr size_t kMostWaiting = 4096;         // requests of all clients
constexpr int64_t kKeptBytes = 256 << 20;     // of buffers for replies, between bursts
constexpr uint32_t kBusyHintMs = 20;          // ask again after
constexpr int64_t kHeadRoom = 4096;           // of a message beside its ids: head, key, encryption
constexpr int kBusyReplies = 64;              // of a client, that wait to be sent
constexpr int kBurst = 64;                    // messages taken between two looks at what is done
constexpr Milliseconds kBindPatience{2'000};  // for the port of a server that just ended
constexpr Milliseconds kTick{500};

class Server final : public GraphServer {
 public:
  Server(ServerOptions options, std::shared_ptr<const MappedPart> part, const PartitionIndex& index)
      : options_(std::move(options)),
        context_(options_.threads),
        pool_(static_cast<size_t>(std::min(options_.max_reply_bytes, kKeptBytes))),
        wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    served_.part = std::move(part);
    served_.digest = index.digest();
    served_.types = numbered_types(index);
    served_.relations = numbered_relations(index);
    served_.max_ids = options_.max_ids;
    served_.max_reply_bytes = options_.max_reply_bytes;
    served_.pool = &pool_;
  }

  ~Server() override {
    stop_.raise();
    work_.close();
    front_ = {};
    workers_.clear();
  }

  Status open() {
    TRY(context_.check_keys(allowed_));
    const BindOptions bind{.address = options_.address,
                           .port = options_.port,
                           .keys = options_.keys,
                           .max_message_bytes = options_.max_ids * int64_t{sizeof(int32_t)} + kHeadRoom,
                           .queued_messages = kBusyReplies + 2 * options_.max_requests_per_client};
    const Deadline patience = Deadline::after(kBindPatience);
    for (;;) {
      auto bound = Socket::bind_router(context_, bind);
      if (bound) {
        socket_.emplace(std::move(bound).value());
        break;
      }
      if (bound.error().cause != Cause::locked) return std::move(bound).error();
      if (patience.passed()) return Error{Cause::temporary, bound.error().message};
      std::this_thread::sleep_for(Milliseconds(50));
    }
    port_ = socket_->port();
    for (int i = 0; i < options_.threads; ++i) workers_.emplace_back([this] { work(); });
    front_ = std::jthread([this] { serve(); });
    return {};
  }

  int port() const override { return port_; }
  void allow(const std::vector<std::string>& public_keys) override { allowed_.set(public_keys); }

  Json stats() const override {
    Json json = Json::parse(served_.stats()).value();
    json["refused"] = served_.counters.refused + allowed_.refused();
    return json;
  }

 private:
  struct Client {
    std::string id;
    int waiting = 0;
  };

  // ---- worker threads
  void work() {
    Answerer answerer(served_);
    while (!stop_.raised()) {
      std::optional<Frames> request = work_.pop(kTick);
      if (!request) continue;
      answerer.answer(*request, 1);
      {
        std::lock_guard lock(done_mutex_);
        done_.push_back(std::move(*request));
      }
      const uint64_t one = 1;
      [[maybe_unused]] const auto written = write(wake_.get(), &one, sizeof one);
    }
  }

  // ---- the thread at the socket
  void serve() {
    const std::array<int, 1> descriptors{wake_.get()};
    while (!stop_.raised()) {
      if (const Status waited = socket_->wait(Deadline::after(kTick), descriptors, &stop_);
          !waited && !stop_.raised()) {
        log_error("graph server of part {}: {}", options_.part, waited.error().message);
        std::this_thread::sleep_for(kTick);
      }
      send_done();
      for (int i = 0; i < kBurst && socket_->receive_now(incoming_); ++i) accept();
    }
  }

  void send_done() {
    uint64_t ignored;
    [[maybe_unused]] const auto got = read(wake_.get(), &ignored, sizeof ignored);
    {
      std::lock_guard lock(done_mutex_);
      sending_.swap(done_);
    }
    for (Frames& reply : sending_) {
      --client_of(reply[0].text()).waiting;
      --waiting_;
      send(reply);
    }
    sending_.clear();
  }

  void send(Frames& reply) {
    if (!socket_->send(reply))
      ++served_.counters.dropped;  // the client is gone, or does not read; else it asks again
  }

  void accept() {
    Client& client = client_of(incoming_[0].text());
    const bool full = client.waiting >= options_.max_requests_per_client || waiting_ >= kMostWaiting ||
                      pool_.bytes_out() > static_cast<size_t>(options_.max_reply_bytes);
    if (full && incoming_.count > 1) {
      ++served_.counters.busy;
      const Head head{.operation = Operation::stats,
                      .answer = Answer::busy,
                      .request = request_id_of(incoming_[1].bytes()),
                      .count = kBusyHintMs};
      encode_text_reply(head, "", incoming_, 1);
      return send(incoming_);
    }
    ++client.waiting;
    ++waiting_;
    work_.push(std::move(incoming_));
  }

  Client& client_of(std::string_view id) {
    for (Client& client : clients_) {
      if (client.id == id) return client;
    }
    if (clients_.size() > 64)
      std::erase_if(clients_, [](const Client& client) { return client.waiting == 0; });
    return clients_.emplace_back(Client{std::string(id)});
  }

  const ServerOptions options_;
  AllowList allowed_;
  SocketContext context_;
  FramePool pool_;
  std::optional<Socket> socket_;  // of front_ once it runs
  int port_ = 0;
  Served served_;
  StopSignal stop_;
  FileDescriptor wake_;
  Queue<Frames> work_{kMostWaiting};
  std::mutex done_mutex_;
  std::vector<Frames> done_;  // guarded by done_mutex_

  // of front_
  std::vector<Frames> sending_;
  Frames incoming_;
  std::vector<Client> clients_;
  size_t waiting_ = 0;

  std::vector<std::jthread> workers_;
  std::jthread front_;
};

}  // namespace

Result<std::unique_ptr<GraphServer>> GraphServer::start(ServerOptions options) {
  if (options.threads < 1 || options.max_requests_per_client < 1)
    bug("GraphServer: needs threads and requests");
  TRY(auto partition, PartitionDir::open(options.partition));
  TRY(auto part, MappedPart::open(partition, options.part));
  const std::string what = fmt::format("graph server of part {}", options.part);
  auto server = std::make_unique<Server>(std::move(options), std::move(part), partition.index());
  TRY(server->open().within(what));
  return std::unique_ptr<GraphServer>(std::move(server));
}

}  // namespace gnnflow
