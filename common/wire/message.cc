// Frames to bytes and back.
#include "common/wire/message.h"

#include <cstring>

#include <fmt/format.h>

namespace gnnflow {
namespace {

constexpr std::string_view kMagic = "GNF1";
constexpr size_t kPrefixBytes = 12;
constexpr size_t kCompactAt = 1 << 16;

void put_u32(std::string& out, uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(value >> shift & 0xff);
}

uint32_t get_u32(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (int i = 3; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

Error broken(std::string message) { return {Cause::bad_data, std::move(message)}; }

}  // namespace

std::string encode_head(const Message& message) {
  std::string head = message.head.dump();
  std::string frame(kMagic);
  put_u32(frame, static_cast<uint32_t>(head.size()));
  put_u32(frame, static_cast<uint32_t>(message.body.size()));
  frame += head;
  return frame;
}

std::string encode(const Message& message) {
  std::string frame = encode_head(message);
  frame += message.body;
  return frame;
}

void MessageDecoder::feed(std::string_view bytes) {
  if (used_ == buffer_.size()) {
    buffer_.clear();
    used_ = 0;
  } else if (used_ > kCompactAt) {
    buffer_.erase(0, used_);
    used_ = 0;
  }
  buffer_ += bytes;
}

// A bad frame is not consumed, so that every later call finds it again.
Result<std::optional<Message>> MessageDecoder::next() {
  std::string_view rest = std::string_view(buffer_).substr(used_);
  size_t seen = std::min(rest.size(), kMagic.size());
  if (rest.substr(0, seen) != kMagic.substr(0, seen)) return broken("a message does not begin with GNF1");
  if (rest.size() < kPrefixBytes) return std::optional<Message>();
  uint32_t head_bytes = get_u32(rest, 4), body_bytes = get_u32(rest, 8);
  if (head_bytes > kMaxHeadBytes) {
    return broken(fmt::format("a message has a head of {} bytes, more than {}", head_bytes, kMaxHeadBytes));
  }
  if (body_bytes > kMaxBodyBytes) {
    return broken(fmt::format("a message has a body of {} bytes, more than {}", body_bytes, kMaxBodyBytes));
  }
  size_t whole = kPrefixBytes + size_t{head_bytes} + body_bytes;
  if (rest.size() < whole) return std::optional<Message>();
  Result<Json> head = Json::parse(rest.substr(kPrefixBytes, head_bytes));
  if (!head) return std::move(head).error().within("head of a message");
  if (!head->is_object()) return broken("the head of a message is not a map");
  Message message{*std::move(head), std::string(rest.substr(kPrefixBytes + head_bytes, body_bytes))};
  used_ += whole;
  return std::optional<Message>(std::move(message));
}

}  // namespace gnnflow
