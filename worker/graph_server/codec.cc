// Heads and frames of the graph protocol: each field is checked before it is used.
#include "worker/graph_server/codec.h"

#include <bit>
#include <limits>

#include <fmt/format.h>

#include "common/sampler/sampler.h"

namespace gnnflow {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are copied as they lie");

constexpr uint32_t kMagic = 0x31474E47;  // "GNG1"
constexpr uint8_t kReplyFlag = 1;
constexpr auto kLastOperation = static_cast<uint8_t>(Operation::drain);
constexpr auto kLastAnswer = static_cast<uint8_t>(Answer::too_large);
constexpr auto kLastRowType = static_cast<int16_t>(RowType::u8);

template <typename T>
T read(std::span<const std::byte> bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

template <typename T>
void write(std::array<std::byte, kHeadBytes>& bytes, size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

Error malformed(std::string text) { return {Cause::bad_data, "graph protocol: " + std::move(text)}; }

Frame frame_of(std::span<const std::byte> bytes) {
  return Frame(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

// A message's head, once its frames are as many and as long as they should be.
Result<Head> decode_message(const Frames& frames, int first, bool reply) {
  if (frames.overflowed() || frames.count <= first) {
    return malformed(fmt::format("a message of {} frames", frames.count - first));
  }
  TRY(auto head, decode_head(frames[first].bytes()));
  if (head.reply != reply) return malformed(reply ? "a request where a reply was due" : "a reply to nothing");
  uint64_t bytes = 0;
  for (int i = first + 1; i < frames.count; ++i) bytes += frames[i].size();
  if (bytes != head.bytes) {
    return malformed(fmt::format("{} bytes follow the head, which promised {}", bytes, head.bytes));
  }
  return head;
}

Status want_frames(const Frames& frames, int first, int wanted) {
  if (frames.count - first - 1 == wanted) return {};
  return malformed(fmt::format("{} arrays where {} are due", frames.count - first - 1, wanted));
}

Result<Packed<int32_t>> list_of(const Frame& frame, uint64_t count) {
  if (frame.size() != count * sizeof(int32_t)) {
    return malformed(fmt::format("{} bytes for a list of {} ids", frame.size(), count));
  }
  return Packed<int32_t>(frame.bytes());
}

Status check_offsets(const Reply& reply) {
  if (reply.offsets[0] != 0) return malformed(fmt::format("offsets begin with {}", reply.offsets[0]));
  for (size_t i = 0; i < reply.head.count; ++i) {
    if (reply.offsets[i] > reply.offsets[i + 1]) {
      return malformed(fmt::format("offset {} is below the one before it", reply.offsets[i + 1]));
    }
  }
  if (static_cast<size_t>(reply.offsets[reply.head.count]) != reply.sources.size()) {
    return malformed(fmt::format("offsets end with {}, but there are {} neighbours",
                                 reply.offsets[reply.head.count], reply.sources.size()));
  }
  return {};
}

// `arrays` as many as the operation has, some may be empty.
void encode(Head head, std::initializer_list<std::span<const std::byte>> arrays, Frames& out, int first) {
  out.count = first + 1;
  for (const auto& array : arrays) {
    head.bytes += array.size();
    out.add(frame_of(array));
  }
  out[first] = frame_of(encode_head(head));
}

}  // namespace

std::array<std::byte, kHeadBytes> encode_head(const Head& head) {
  std::array<std::byte, kHeadBytes> bytes{};
  write(bytes, 0, kMagic);
  write(bytes, 4, kGraphProtocolVersion);
  write(bytes, 5, head.operation);
  write(bytes, 6, head.reply ? kReplyFlag : uint8_t{0});
  write(bytes, 7, head.answer);
  write(bytes, 8, head.request);
  write(bytes, 16, head.count);
  write(bytes, 20, head.index);
  write(bytes, 22, head.detail);
  write(bytes, 24, head.bytes);
  return bytes;
}

Result<Head> decode_head(std::span<const std::byte> bytes) {
  if (bytes.size() != kHeadBytes)
    return malformed(fmt::format("a head of {} bytes, not {}", bytes.size(), kHeadBytes));
  if (read<uint32_t>(bytes, 0) != kMagic) return malformed("wrong magic number");
  const auto version = read<uint8_t>(bytes, 4), operation = read<uint8_t>(bytes, 5);
  const auto flags = read<uint8_t>(bytes, 6), answer = read<uint8_t>(bytes, 7);
  if (version != kGraphProtocolVersion) {
    return malformed(fmt::format("version {} of the peer, {} here: run the same gnnflow on all hosts",
                                 version, kGraphProtocolVersion));
  }
  if (operation < 1 || operation > kLastOperation)
    return malformed(fmt::format("unknown operation {}", operation));
  if (flags > kReplyFlag) return malformed(fmt::format("unknown flags {:#x}", flags));
  const bool reply = flags == kReplyFlag;
  if (answer > (reply ? kLastAnswer : 0)) return malformed(fmt::format("unknown answer {}", answer));
  return Head{.operation = static_cast<Operation>(operation),
              .reply = reply,
              .answer = static_cast<Answer>(answer),
              .request = read<uint64_t>(bytes, 8),
              .count = read<uint32_t>(bytes, 16),
              .index = read<uint16_t>(bytes, 20),
              .detail = read<int16_t>(bytes, 22),
              .bytes = read<uint64_t>(bytes, 24)};
}

uint64_t request_id_of(std::span<const std::byte> head) {
  return head.size() >= 16 ? read<uint64_t>(head, 8) : 0;
}

Result<Request> decode_request(const Frames& frames, int first) {
  Request request;
  TRY(request.head, decode_message(frames, first, false));
  const Head& head = request.head;
  switch (head.operation) {
    case Operation::hello:
      TRY(want_frames(frames, first, 1));
      if (frames[first + 1].size() != kDigestBytes) {
        return malformed(fmt::format("a digest of {} bytes, not {}", frames[first + 1].size(), kDigestBytes));
      }
      request.digest = frames[first + 1].text();
      return request;
    case Operation::rows: {
      TRY(want_frames(frames, first, 1));
      TRY(request.nodes, list_of(frames[first + 1], head.count));
      if (head.detail != 0) return malformed(fmt::format("rows asked for in unknown form {}", head.detail));
      return request;
    }
    case Operation::neighbours: {
      TRY(want_frames(frames, first, 2));
      if (frames[first + 1].size() != sizeof(uint64_t))
        return malformed("a layer key that is not 8 bytes long");
      request.layer_key = read<uint64_t>(frames[first + 1].bytes(), 0);
      TRY(request.nodes, list_of(frames[first + 2], head.count));
      if (head.detail < kAllNeighbours || head.detail > kMaxFanout) {
        return malformed(fmt::format("fan-out {}, not {} to {}", head.detail, kAllNeighbours, kMaxFanout));
      }
      return request;
    }
    case Operation::stats:
    case Operation::drain:
      TRY(want_frames(frames, first, 0));
      return request;
  }
  return malformed("unknown operation");
}

Result<Reply> decode_reply(const Frames& frames, int first) {
  Reply reply;
  TRY(reply.head, decode_message(frames, first, true));
  const Head& head = reply.head;
  if (head.answer == Answer::busy) {
    TRY(want_frames(frames, first, 0));
    return reply;
  }
  const bool text = head.answer != Answer::ok || head.operation == Operation::hello ||
                    head.operation == Operation::stats || head.operation == Operation::drain;
  if (text) {
    TRY(want_frames(frames, first, 1));
    reply.text = frames[first + 1].text();
    return reply;
  }
  if (head.operation == Operation::rows) {
    TRY(want_frames(frames, first, 1));
    if (head.detail < 0 || head.detail > kLastRowType)
      return malformed(fmt::format("rows of unknown type {}", head.detail));
    reply.rows = frames[first + 1].bytes();
    return reply;
  }
  TRY(want_frames(frames, first, 2));
  TRY(reply.offsets, list_of(frames[first + 1], uint64_t{head.count} + 1));
  TRY(reply.sources, list_of(frames[first + 2], frames[first + 2].size() / sizeof(int32_t)));
  TRY(check_offsets(reply));
  return reply;
}

void encode_hello(uint64_t request, int part, std::string_view digest, Frames& out, int first) {
  encode({.operation = Operation::hello, .request = request, .index = static_cast<uint16_t>(part)},
         {std::as_bytes(std::span(digest))}, out, first);
}

void encode_plain(Operation operation, uint64_t request, Frames& out, int first) {
  encode({.operation = operation, .request = request}, {}, out, first);
}

void encode_rows(uint64_t request, uint16_t type, std::span<const int32_t> nodes, Frames& out, int first) {
  encode({.operation = Operation::rows,
          .request = request,
          .count = static_cast<uint32_t>(nodes.size()),
          .index = type},
         {std::as_bytes(nodes)}, out, first);
}

void encode_neighbours(uint64_t request, uint16_t relation, int16_t fanout, uint64_t layer_key,
                       std::span<const int32_t> nodes, Frames& out, int first) {
  encode({.operation = Operation::neighbours,
          .request = request,
          .count = static_cast<uint32_t>(nodes.size()),
          .index = relation,
          .detail = fanout},
         {std::as_bytes(std::span(&layer_key, 1)), std::as_bytes(nodes)}, out, first);
}

void encode_text_reply(Head head, std::string_view text, Frames& out, int first) {
  out.count = first + 1;
  if (head.answer != Answer::busy) out.add(Frame(text));
  finish_reply(head, out, first);
}

void finish_reply(Head head, Frames& out, int first) {
  head.reply = true;
  head.bytes = 0;
  for (int i = first + 1; i < out.count; ++i) head.bytes += out[i].size();
  out[first] = frame_of(encode_head(head));
}

}  // namespace gnnflow
