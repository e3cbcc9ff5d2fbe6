// Requests under way, their deadlines, and a connection that may break and come back.
#include "worker/graph_server/client.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "common/base/text.h"

namespace gnnflow {
namespace {

constexpr size_t kUnderWay = 8;       // requests sent and not answered; a server takes 16 of a client
constexpr int kFailuresAllowed = 3;   // broken handshakes before the first that succeeds
constexpr Milliseconds kReopen{200};  // between two attempts after a refusal
constexpr Milliseconds kPatience{
    10'000};  // with a server that was there and now refuses: it may be starting again
constexpr uint32_t kLongestHintMs = 5'000;

Monotonic now() { return std::chrono::steady_clock::now(); }

Deadline until(Monotonic time) {
  return Deadline::after(std::max(Milliseconds(0), std::chrono::ceil<Milliseconds>(time - now())));
}

}  // namespace

Result<std::unique_ptr<RemotePart>> RemotePart::open(SocketContext& context, RemoteOptions options) {
  std::unique_ptr<RemotePart> remote(new RemotePart(context, std::move(options)));
  TRY(remote->connect());
  remote->ask({.operation = Operation::hello});
  return remote;
}

Error RemotePart::error(Cause cause, std::string_view what) const {
  const ServerAddress& server = options_.server;
  return {cause, fmt::format("graph server of part {} at {}:{}: {}", server.part, server.address, server.port,
                             what)};
}

Status RemotePart::connect() {
  reopen_at_ = Monotonic::max();
  socket_.reset();
  auto made = Socket::connect_dealer(context_, {.address = options_.server.address,
                                                .port = options_.server.port,
                                                .server_key = options_.server.public_key,
                                                .keys = options_.keys});
  if (!made) return error(made.error().cause, made.error().message);
  socket_ = std::make_unique<Socket>(std::move(made).value());
  return {};
}

void RemotePart::ask(const Question& question) {
  asked_.push_back({.question = question, .id = ++last_id_});
  send_some();
}

void RemotePart::send(Asked& asked, bool again) {
  const Question& question = asked.question;
  switch (question.operation) {
    case Operation::hello:
      encode_hello(asked.id, options_.server.part, options_.digest, outgoing_);
      break;
    case Operation::rows:
      encode_rows(asked.id, question.index, question.nodes, outgoing_);
      break;
    case Operation::neighbours:
      encode_neighbours(asked.id, question.index, question.fanout, question.layer_key, question.nodes,
                        outgoing_);
      break;
    case Operation::stats:
    case Operation::drain:
      encode_plain(question.operation, asked.id, outgoing_);
      break;
  }
  socket_->send(
      outgoing_);  // when the queue is full it is lost like any other message: asked again after silence
  if (!asked.sent) asked.deadline = now() + options_.deadline;
  asked.sent = true;
  asked.ask_again = now() + options_.retry;
  ++(again ? counters_.retries : counters_.requests);
}

void RemotePart::send_some() {
  const size_t room = std::min(kUnderWay, asked_.size());
  for (size_t i = 0; i < room; ++i) {
    if (!asked_[i].sent) send(asked_[i], false);
  }
}

void RemotePart::send_all_again() {
  for (Asked& asked : asked_) {
    if (asked.sent) send(asked, true);
  }
}

Status RemotePart::collect(const Use& use) {
  const Monotonic start = now();
  const Status collected = collect_answers(use);
  counters_.remote_wait_seconds += std::chrono::duration<double>(now() - start).count();
  if (!collected) forget();
  return collected;
}

Status RemotePart::collect_answers(const Use& use) {
  while (!asked_.empty()) {
    send_some();
    if (socket_->receive_now(frames_)) {
      TRY(handle(frames_, use));
      continue;
    }
    TRY(look_at_connection());
    TRY(ask_silent_again());
    TRY(socket_->wait(until(next_event()), {}, options_.stop));
  }
  return {};
}

Monotonic RemotePart::next_event() const {
  Monotonic next = reopen_at_;
  for (const Asked& asked : asked_) {
    if (asked.sent) next = std::min({next, asked.deadline, asked.ask_again});
  }
  return next;
}

Status RemotePart::ask_silent_again() {
  for (Asked& asked : asked_) {
    if (!asked.sent) continue;
    if (now() >= asked.deadline) {
      return error(Cause::unreachable,
                   fmt::format("no answer within {}: is it running, and does its host let this port through?",
                               format_duration(options_.deadline)));
    }
    if (now() >= asked.ask_again) send(asked, true);
  }
  return {};
}

Status RemotePart::look_at_connection() {
  const ConnectionNews news = socket_->news();
  if (news.connected > 0) {
    failures_ = 0;
    if (greeted_) send_all_again();  // what was under way is lost with the connection
    greeted_ = true;
  }
  if (news.refused + news.failed > 0) {
    if (failures_ == 0) first_failure_ = now();
    failures_ += news.refused + news.failed;
    refused_ = news.refused > 0;
    reopen_at_ = std::min(reopen_at_, now() + kReopen);
    const bool over =
        greeted_ ? now() - first_failure_ >= kPatience : refused_ || failures_ >= kFailuresAllowed;
    if (over && refused_)
      return error(Cause::unreachable, "it refuses our key: the key is not on its list of allowed keys");
    if (over) {
      return error(
          Cause::unreachable,
          fmt::format(
              "the handshake broke {} times: the server has another key than we were told, or is none "
              "of ours",
              failures_));
    }
  }
  if (now() >= reopen_at_) {
    TRY(connect());
    send_all_again();
  }
  return {};
}

Status RemotePart::handle(Frames& frames, const Use& use) {
  greeted_ = true;
  failures_ = 0;
  for (int i = 0; i < std::min(frames.count, Frames::kMax); ++i) {
    counters_.bytes_received += static_cast<int64_t>(frames[i].size());
  }
  auto reply = decode_reply(frames, 0);
  if (!reply) return error(Cause::bad_data, reply.error().message);
  const auto asked = std::find_if(asked_.begin(), asked_.end(), [&](const Asked& one) {
    return one.id == reply->head.request && one.sent;
  });
  if (asked == asked_.end()) return {};  // asked twice and answered twice
  return handle_answer(asked, *reply, frames, use);
}

Status RemotePart::handle_answer(std::deque<Asked>::iterator asked, const Reply& reply, Frames& frames,
                                 const Use& use) {
  const Question question = asked->question;
  switch (reply.head.answer) {
    case Answer::ok:
      break;
    case Answer::busy:
      asked->ask_again = now() + Milliseconds(std::clamp(reply.head.count, 1u, kLongestHintMs));
      return {};
    case Answer::draining:
      return error(Cause::unreachable, reply.text);
    case Answer::too_large:
      if (question.nodes.size() < 2) return error(Cause::no_resources, reply.text);
      asked_.erase(asked);
      ask_in_halves(question);
      return {};
    case Answer::bad_request:
    case Answer::refused:
    case Answer::bad_data:
      return error(Cause::bad_data, reply.text);
  }
  const bool listed = question.operation == Operation::rows || question.operation == Operation::neighbours;
  if (reply.head.operation != question.operation || (listed && reply.head.count != question.nodes.size())) {
    return error(Cause::bad_data, "graph protocol: the answer to another question");
  }
  asked_.erase(asked);
  send_some();
  if (question.operation == Operation::stats) stats_ = reply.text;
  return listed ? use(question, reply, frames) : Status();
}

void RemotePart::ask_in_halves(Question question) {
  const std::span<const int32_t> nodes = question.nodes;
  const size_t half = nodes.size() / 2;
  question.nodes = nodes.first(half);
  ask(question);
  question.nodes = nodes.subspan(half);
  ask(question);
}

Result<std::string> RemotePart::stats() {
  ask({.operation = Operation::stats});
  TRY(collect([](const Question&, const Reply&, Frames&) { return Status(); }));
  return stats_;
}

void RemotePart::add_counters(SourceCounters& counters) {
  counters.bytes_received += counters_.bytes_received;
  counters.requests += counters_.requests;
  counters.retries += counters_.retries;
  counters.remote_wait_seconds += counters_.remote_wait_seconds;
  counters_ = {};
}

}  // namespace gnnflow
