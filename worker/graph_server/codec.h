// What graph servers and their clients say to each other: a 32-byte head, then one frame per array.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/kernels/kernels.h"
#include "common/zmq/socket.h"

namespace gnnflow {

enum class Operation : uint8_t { hello = 1, rows = 2, neighbours = 3, stats = 4, drain = 5 };

enum class Answer : uint8_t {
  ok = 0,
  busy = 1,         // ask again after `count` milliseconds
  bad_request = 2,  // the request is malformed or over a limit
  refused = 3,      // hello: another partition, part or version
  bad_data = 4,     // the part's files are damaged
  draining = 5,     // no new requests are taken
  too_large = 6,    // the reply would be over the server's limit: ask for fewer nodes
};

//  0      4         5           6       7        8            16      20      22       24             32
//  | GNG1 | version | operation | flags | answer | request id | count | index | detail | bytes follow |
//
// Little endian. flags: bit 0 is set in replies, the others are 0; `answer` is 0 in requests.
struct Head {
  Operation operation = Operation::hello;
  bool reply = false;
  Answer answer = Answer::ok;
  uint64_t request = 0;  // of the client; a reply repeats it
  uint32_t count = 0;    // nodes; of a busy reply: milliseconds
  uint16_t index = 0;    // of the node type or relation, in the order of their names; hello: the part
  int16_t detail = 0;    // neighbours: the fan-out; rows, in the reply: the RowType
  uint64_t bytes = 0;    // of all frames after the head
};

constexpr size_t kHeadBytes = 32;
constexpr uint8_t kGraphProtocolVersion = 1;
constexpr size_t kDigestBytes = 32;  // of a partition, in hexadecimal digits

std::array<std::byte, kHeadBytes> encode_head(const Head& head);
Result<Head> decode_head(std::span<const std::byte> bytes);
// Of whatever came: 0 when it is too short to tell.
uint64_t request_id_of(std::span<const std::byte> head);

// A list of numbers inside a frame, which need not be aligned.
template <typename T>
class Packed {
 public:
  Packed() = default;
  explicit Packed(std::span<const std::byte> bytes) : bytes_(bytes) {}
  size_t size() const { return bytes_.size() / sizeof(T); }
  T operator[](size_t i) const {
    T value;
    std::memcpy(&value, bytes_.data() + i * sizeof(T), sizeof(T));
    return value;
  }
  void copy_to(T* out, size_t from, size_t count) const {
    if (count > 0) std::memcpy(out, bytes_.data() + from * sizeof(T), count * sizeof(T));
  }

 private:
  std::span<const std::byte> bytes_;
};

// Borrowed from the frames that it was read from.
struct Request {
  Head head;
  std::string_view digest;  // hello
  uint64_t layer_key = 0;   // neighbours
  Packed<int32_t> nodes;    // rows, neighbours: new ids, not yet checked against the part
};
// `frames` from `first` on. bad_data says what is wrong with them.
Result<Request> decode_request(const Frames& frames, int first);

struct Reply {
  Head head;
  std::string_view
      text;  // hello: the server's digest; stats: JSON; every answer but ok and busy: what is wrong
  std::span<const std::byte> rows;
  Packed<int32_t> offsets, sources;
};
// Offsets are checked to fit sources and count; sources are checked by who knows how many nodes there are.
Result<Reply> decode_reply(const Frames& frames, int first);

// Each replaces what is in `out` from `first` on.
void encode_hello(uint64_t request, int part, std::string_view digest, Frames& out, int first = 0);
void encode_plain(Operation operation, uint64_t request, Frames& out, int first = 0);  // stats, drain
void encode_rows(uint64_t request, uint16_t type, std::span<const int32_t> nodes, Frames& out, int first = 0);
void encode_neighbours(uint64_t request, uint16_t relation, int16_t fanout, uint64_t layer_key,
                       std::span<const int32_t> nodes, Frames& out, int first = 0);

// A reply of text, or of nothing.
void encode_text_reply(Head head, std::string_view text, Frames& out, int first);
// A reply whose arrays stand in `out` behind the place of the head already.
void finish_reply(Head head, Frames& out, int first);

}  // namespace gnnflow
