// Requests into replies. A request is never trusted, and never costs more than its reply.
#include "worker/graph_server/answerer.h"

#include <fmt/format.h>

#include "common/base/json.h"

namespace gnnflow {
namespace {

// Of a reply: offsets and sources.
int64_t neighbours_bytes(int64_t edges, int64_t nodes) {
  return (edges + nodes + 1) * int64_t{sizeof(int32_t)};
}

}  // namespace

std::vector<std::string> numbered_types(const PartitionIndex& index) {
  std::vector<std::string> names;
  for (const auto& [name, ranges] : index.ranges) names.push_back(name);
  return names;
}

std::vector<std::string> numbered_relations(const PartitionIndex& index) {
  std::vector<std::string> names;
  for (const auto& [name, edges] : index.edges) names.push_back(name);
  return names;
}

std::string Served::stats() const {
  Json json;
  json["requests"] = counters.requests.load();
  json["rows"] = counters.rows.load();
  json["neighbours"] = counters.neighbours.load();
  json["bytes"] = counters.bytes.load();
  json["refused"] = counters.refused.load();
  json["bad_messages"] = counters.bad_messages.load();
  json["busy"] = counters.busy.load();
  json["dropped"] = counters.dropped.load();
  return json.dump();
}

void Answerer::answer(Frames& frames, int first) {
  ++served_.counters.requests;
  auto decoded = decode_request(frames, first);
  if (!decoded) {
    ++served_.counters.bad_messages;
    request_ = {};
    request_.head.request = frames.count > first ? request_id_of(frames[first].bytes()) : 0;
    return reply(Answer::bad_request, decoded.error().message, frames, first);
  }
  request_ = *decoded;
  const Operation operation = request_.head.operation;
  const bool reads = operation == Operation::rows || operation == Operation::neighbours;
  if (reads && served_.draining)
    return reply(Answer::draining, "the graph server is about to end", frames, first);
  switch (operation) {
    case Operation::hello:
      return hello(frames, first);
    case Operation::rows:
      return rows(frames, first);
    case Operation::neighbours:
      return neighbours(frames, first);
    case Operation::stats:
      return reply(Answer::ok, served_.stats(), frames, first);
    case Operation::drain:
      served_.draining = true;
      return reply(Answer::ok, served_.stats(), frames, first);
  }
}

void Answerer::reply(Answer answer, std::string_view text, Frames& frames, int first) {
  if (answer == Answer::refused) ++served_.counters.refused;
  Head head = request_.head;
  head.answer = answer;
  head.count = 0;
  encode_text_reply(head, text, frames, first);
}

void Answerer::hello(Frames& frames, int first) {
  if (request_.digest != served_.digest) {
    return reply(Answer::refused,
                 fmt::format("partition digest: client {}, server {}", request_.digest, served_.digest),
                 frames, first);
  }
  if (request_.head.index != served_.part->part()) {
    return reply(
        Answer::refused,
        fmt::format("part: client wants {}, server has {}", request_.head.index, served_.part->part()),
        frames, first);
  }
  reply(Answer::ok, served_.digest, frames, first);
}

bool Answerer::within_limits(Frames& frames, int first, int64_t reply_bytes) {
  std::string text;
  if (request_.head.count > served_.max_ids) {
    text = fmt::format("{} ids in one request, at most {}", request_.head.count, served_.max_ids);
  } else if (reply_bytes > served_.max_reply_bytes) {
    text = fmt::format("a reply of {} bytes, at most {}", reply_bytes, served_.max_reply_bytes);
  }
  if (text.empty()) return true;
  ++served_.counters.bad_messages;
  reply(Answer::bad_request, text, frames, first);
  return false;
}

// Whoever asked has no degrees: it asks again for halves, down to one node.
void Answerer::too_large(std::string_view relation, int64_t edges, Frames& frames, int first) {
  const int64_t bytes = neighbours_bytes(edges, request_.head.count), most = served_.max_reply_bytes;
  if (nodes_.size() > 1) {
    return reply(
        Answer::too_large,
        fmt::format("neighbours of {} nodes: a reply of {} bytes, at most {}", nodes_.size(), bytes, most),
        frames, first);
  }
  reply(
      Answer::too_large,
      fmt::format("node {} has {} neighbours: a reply of {} bytes, at most {}; give a fan-out instead of -1",
                  served_.part->original_of(relation, nodes_[0]), edges, bytes, most),
      frames, first);
}

void Answerer::rows(Frames& frames, int first) {
  const Head head = request_.head;
  const MappedPart& part = *served_.part;
  if (head.index >= served_.types.size()) {
    ++served_.counters.bad_messages;
    return reply(Answer::bad_request, fmt::format("no node type number {}", head.index), frames, first);
  }
  const std::string& type = served_.types[head.index];
  const RowType row_type = part.row_type(type);
  const int64_t bytes = head.count * part.columns(type) * bytes_of(row_type);
  if (!within_limits(frames, first, bytes)) return;
  nodes_.resize(head.count);
  request_.nodes.copy_to(nodes_.data(), 0, head.count);
  Frame table = served_.pool->take(static_cast<size_t>(bytes));
  if (const Status copied = part.packed_rows(type, nodes_.span(), table.bytes().data()); !copied) {
    return reply(Answer::bad_data, copied.error().message, frames, first);
  }
  served_.counters.rows += head.count;
  served_.counters.bytes += bytes;
  frames.count = first + 1;
  frames.add(std::move(table));
  Head done = head;
  done.detail = static_cast<int16_t>(row_type);
  finish_reply(done, frames, first);
}

void Answerer::neighbours(Frames& frames, int first) {
  const Head head = request_.head;
  const MappedPart& part = *served_.part;
  if (head.index >= served_.relations.size()) {
    ++served_.counters.bad_messages;
    return reply(Answer::bad_request, fmt::format("no relation number {}", head.index), frames, first);
  }
  if (!within_limits(frames, first, 0)) return;
  const std::string& relation = served_.relations[head.index];
  nodes_.resize(head.count);
  request_.nodes.copy_to(nodes_.data(), 0, head.count);
  const auto bound = part.bound(relation, head.detail, nodes_.span());
  if (!bound) return reply(Answer::bad_data, bound.error().message, frames, first);
  if (neighbours_bytes(*bound, head.count) > served_.max_reply_bytes) {
    return too_large(relation, *bound, frames, first);
  }
  offsets_.resize(1);
  offsets_[0] = 0;
  sources_.clear();
  const Status drawn =
      part.draw(relation, request_.layer_key, head.detail, nodes_.span(), offsets_, sources_);
  if (!drawn) return reply(Answer::bad_data, drawn.error().message, frames, first);
  served_.counters.neighbours += static_cast<int64_t>(sources_.size());
  frames.count = first + 1;
  for (const Buffer<int32_t>* array : {&offsets_, &sources_}) {
    const auto bytes = std::as_bytes(array->span());
    Frame frame = served_.pool->take(bytes.size());
    if (!bytes.empty()) std::memcpy(frame.bytes().data(), bytes.data(), bytes.size());
    served_.counters.bytes += static_cast<int64_t>(bytes.size());
    frames.add(std::move(frame));
  }
  finish_reply(head, frames, first);
}

}  // namespace gnnflow
