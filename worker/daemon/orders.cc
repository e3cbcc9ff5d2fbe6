// The table of orders and one function each.
#include "worker/daemon/orders.h"

#include <algorithm>

#include <fmt/format.h>

#include "worker/daemon/bundle_sweep.h"
#include "worker/daemon/gone.h"
#include "worker/daemon/publish.h"
#include "worker/daemon/stored_files.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kDiscard{10'000};
constexpr int64_t kMostSeconds = 1'000'000;  // more is refused all the same, and does not overflow
constexpr int64_t kMostPort = 65'536;        // is none

Message empty() { return {Json(Json::Object{}), ""}; }

}  // namespace

struct Orders::Row {
  std::string_view type;
  void (Orders::*handle)(const Message&, Answer);
  bool needs_token;
};

const std::vector<Orders::Row>& Orders::table() {
  static const std::vector<Row> rows = {
      {"start", &Orders::start, true},
      {"ask", &Orders::ask, true},
      {"cancel", &Orders::cancel, true},
      {"forward", &Orders::forward, true},
      {"publish", &Orders::publish_pieces, true},
      {"discard", &Orders::discard, true},
      {"acknowledge", &Orders::acknowledge, true},
      {"remove", &Orders::remove, false},
      {"checkpoints", &Orders::checkpoints, false},
      {"log", &Orders::log, true},
      {"inventory", &Orders::list_stored, false},
      {"bundles", &Orders::bundles, false},
      {"route", &Orders::route, false},
      {"listen", &Orders::listen, false},
      {"dial", &Orders::dial, false},
  };
  return rows;
}

Orders::Orders(const HostFolder& host, Jobs& jobs, Probes& probes, Inbox& inbox, const Milliseconds& grace)
    : host_(host), jobs_(jobs), probes_(probes), inbox_(inbox), grace_(grace) {}

Orders::~Orders() {
  stop_.raise();
  for (const auto& [token, stop] : publishing_) stop->raise();
}

void Orders::handle(const Message& order, Answer answer) {
  std::string type = order.type();
  for (const Row& row : table()) {
    if (row.type != type) continue;
    if (row.needs_token) {
      if (Status checked = check_token(order.head.text_or("token", "")); !checked) {
        return answer(std::move(checked).error().within(type));
      }
    }
    return (this->*row.handle)(order, std::move(answer));
  }
  answer(Error{Cause::bad_data, fmt::format("'{}' is no order", type)});
}

void Orders::later(Errands& errands, Work work, Answer answer) {
  errands.add([&inbox = inbox_, work = std::move(work), answer = std::move(answer)] {
    inbox.post([answer, result = work()] { answer(result); });
  });
}

void Orders::start(const Message& order, Answer answer) {
  const Json& spec = order.head.get("spec");
  if (!spec.is_object()) return answer(Error{Cause::bad_data, "start: 'spec' is no map"});
  Result<JobState> state =
      jobs_.start(order.head.text_or("token", ""), order.head.text_or("program", ""), spec);
  if (!state) return answer(std::move(state).error());
  Message reply = empty();
  reply.head["state"] = name_of(*state);
  answer(std::move(reply));
}

void Orders::ask(const Message& order, Answer answer) {
  std::string token = order.head.text_or("token", "");
  Message reply = empty();
  const Job* job = jobs_.find(token);
  reply.head["known"] = job != nullptr || jobs_.was_acknowledged(token);
  if (job) {
    reply.head["state"] = name_of(job->record.state);
    reply.head["code"] = job->record.code;
    reply.head["signal"] = job->record.signal;
    reply.head["cause"] = job->record.cause;
    reply.head["message"] = job->record.message;
  }
  if (job && job->live()) {
    reply.head["gone"] = false;
    return answer(std::move(reply));
  }
  later(
      questions_,
      [this, token, reply]() -> Result<Message> {
        TRY(bool gone, is_gone(host_, token));
        Message told = reply;
        told.head["gone"] = gone;
        return told;
      },
      std::move(answer));
}

void Orders::cancel(const Message& order, Answer answer) {
  std::string token = order.head.text_or("token", "");
  stop_publishing(token);
  jobs_.cancel(token, grace_);
  answer(empty());
}

void Orders::forward(const Message& order, Answer answer) {
  const Json& head = order.head.get("message");
  if (!head.is_object()) return answer(Error{Cause::bad_data, "forward: 'message' is no map"});
  Status forwarded = jobs_.forward(order.head.text_or("token", ""), Message{head, order.body});
  if (!forwarded) return answer(std::move(forwarded).error());
  answer(empty());
}

void Orders::publish_pieces(const Message& order, Answer answer) {
  std::string token = order.head.text_or("token", ""), to = order.head.text_or("to", "");
  const Job* job = jobs_.find(token);
  if (job && job->live())
    return answer(Error{Cause::bad_data, fmt::format("publish: {} has not ended", token)});
  std::vector<std::string> pieces;
  if (!order.head.get("pieces").is_array())
    return answer(Error{Cause::bad_data, "publish: 'pieces' is no list"});
  for (const Json& piece : order.head.get("pieces").array())
    pieces.push_back(piece.is_string() ? piece.string() : "");
  auto stop = std::make_shared<StopSignal>();
  auto entry = publishing_.emplace(token, stop);
  later(
      effects_,
      [this, token, to, pieces, stop]() -> Result<Message> {
        TRY(std::vector<PublishedPiece> published, publish(host_, token, to, pieces, stop.get()));
        Message reply = empty();
        reply.head["pieces"] = Json(Json::Array{});
        for (const PublishedPiece& piece : published) reply.head["pieces"].push_back(piece.to_json());
        return reply;
      },
      [this, entry, answer = std::move(answer)](Result<Message> result) {
        publishing_.erase(entry);
        answer(std::move(result));
      });
}

// Of a large output it takes long, and what waits for its turn behind it has a limit.
void Orders::stop_publishing(std::string_view token) {
  for (auto [at, end] = publishing_.equal_range(token); at != end; ++at) at->second->raise();
}

void Orders::discard(const Message& order, Answer answer) {
  std::string token = order.head.text_or("token", "");
  stop_publishing(token);
  jobs_.kill(token);
  later(
      effects_,
      [this, token]() -> Result<Message> {
        TRY(end_everything(host_, token, Deadline::after(kDiscard)));
        TRY(remove_tree(host_.job(token)));
        return empty();
      },
      std::move(answer));
}

void Orders::acknowledge(const Message& order, Answer answer) {
  if (Status done = jobs_.acknowledge(order.head.text_or("token", "")); !done)
    return answer(std::move(done).error());
  answer(empty());
}

// What is of a job that has not ended stays.
Status Orders::check_removable(std::string_view path) const {
  for (const std::string_view folder : {"tmp/", "logs/"}) {
    if (!path.starts_with(folder)) continue;
    std::string_view token = path.substr(folder.size(), path.find('/', folder.size()) - folder.size());
    if (folder == "logs/" && token.ends_with(".log")) token.remove_suffix(4);
    const Job* job = jobs_.find(token);
    if (job && job->live()) return Error{Cause::bad_data, fmt::format("remove: {} has not ended", token)};
  }
  return {};
}

void Orders::remove(const Message& order, Answer answer) {
  std::string path = order.head.text_or("path", "");
  if (Status checked = check_removable(path); !checked) return answer(std::move(checked).error());
  later(
      effects_,
      [this, path]() -> Result<Message> {
        TRY(remove_stored(host_, path));
        return empty();
      },
      std::move(answer));
}

void Orders::checkpoints(const Message& order, Answer answer) {
  later(
      questions_,
      [this, step = order.head.text_or("step", ""),
       key = order.head.text_or("resume_key", "")]() -> Result<Message> {
        Message reply = empty();
        TRY(reply.head["checkpoints"], complete_checkpoints(host_, step, key));
        return reply;
      },
      std::move(answer));
}

void Orders::log(const Message& order, Answer answer) {
  later(
      questions_,
      [this, token = order.head.text_or("token", ""), offset = order.head.integer_or("offset", 0),
       limit = order.head.integer_or("limit", int64_t{1} << 20)]() -> Result<Message> {
        TRY(LogPiece piece, read_log(host_, token, offset, limit));
        Message reply = empty();
        reply.head["size"] = piece.size;
        reply.body = std::move(piece.bytes);
        return reply;
      },
      std::move(answer));
}

void Orders::list_stored(const Message&, Answer answer) {
  later(
      questions_,
      [this]() -> Result<Message> {
        TRY(Json things, inventory(host_, stop_));
        Message reply = empty();
        reply.body = things.dump();
        if (reply.body.size() <= kMaxBodyBytes) return reply;
        return Error{Cause::no_resources,
                     fmt::format("{}: {} things are too many for one answer: remove some "
                                 "by hand",
                                 host_.root.string(), things.array().size())};
      },
      std::move(answer));
}

void Orders::bundles(const Message& order, Answer answer) {
  const SweepWish wish{order.head.boolean_or("dry_run", true), order.head.boolean_or("all", false)};
  later(
      effects_,
      [this, wish]() -> Result<Message> {
        const fs::path store = host_.root.parent_path();
        TRY(std::vector<SweptBundle> swept,
            sweep_bundles(store.parent_path(), store.filename(), wish, stop_));
        Message reply = empty();
        reply.head["removed"] = Json(Json::Array{});
        for (const SweptBundle& bundle : swept) {
          reply.head["removed"].push_back(Json::Object{{"path", bundle.path}, {"bytes", bundle.bytes}});
        }
        return reply;
      },
      std::move(answer));
}

void Orders::route(const Message& order, Answer answer) {
  if (!order.head.get("to").is_array()) return answer(Error{Cause::bad_data, "route: 'to' is no list"});
  Message reply = empty();
  reply.head["from"] = Json(Json::Array{});
  for (const Json& to : order.head.get("to").array()) {
    Result<std::string> from = source_address_towards(to.is_string() ? to.string() : "");
    if (!from) return answer(std::move(from).error().within("route"));
    reply.head["from"].push_back(*from);
  }
  answer(std::move(reply));
}

void Orders::listen(const Message& order, Answer answer) {
  const int64_t seconds = std::clamp<int64_t>(order.head.integer_or("seconds", 0), 0, kMostSeconds);
  Result<Listening> listening =
      probes_.listen({order.head.text_or("address", ""), Milliseconds(1000 * seconds)});
  if (!listening) return answer(std::move(listening).error().within("listen"));
  Message reply = empty();
  reply.head["port"] = listening->port;
  reply.head["nonce"] = listening->nonce;
  answer(std::move(reply));
}

void Orders::dial(const Message& order, Answer answer) {
  const int64_t port = std::clamp<int64_t>(order.head.integer_or("port", 0), 0, kMostPort);
  DialRequest request{order.head.text_or("address", ""), static_cast<int>(port),
                      order.head.text_or("nonce", ""), Milliseconds(order.head.integer_or("timeout_ms", 0))};
  probes_.dial(request, [answer = std::move(answer)](Status how) {
    if (!how) return answer(std::move(how).error().within("dial"));
    answer(empty());
  });
}

Message reply_to(int64_t to, Message members) {
  members.head["type"] = "reply";
  members.head["to"] = to;
  members.head["ok"] = true;
  return members;
}

Message error_reply(int64_t to, const Error& error) {
  Message reply;
  reply.head["type"] = "reply";
  reply.head["to"] = to;
  reply.head["ok"] = false;
  reply.head["cause"] = name_of(error.cause);
  reply.head["message"] = error.message;
  return reply;
}

}  // namespace gnnflow
