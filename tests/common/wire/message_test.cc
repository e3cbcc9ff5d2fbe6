// Frames: what was sent comes back, and nothing else does.
#include "common/wire/message.h"

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

Message example() {
  Message message;
  message.head["type"] = "report";
  message.head["numbers"] = Json::Array{1, 2, 3};
  message.body = std::string("body\0with a zero", 16);
  return message;
}

// All whole messages of some bytes, or the first error.
Result<std::vector<Message>> decode(std::string_view bytes, size_t piece) {
  MessageDecoder decoder;
  std::vector<Message> messages;
  for (size_t at = 0; at < bytes.size(); at += piece) {
    decoder.feed(bytes.substr(at, piece));
    while (true) {
      TRY(std::optional<Message> message, decoder.next());
      if (!message) break;
      messages.push_back(*std::move(message));
    }
  }
  return messages;
}

TEST(Message, ComesBackWhateverThePiecesItArrivesIn) {
  std::string bytes = encode(example()) + encode({Json(Json::Object{}), ""}) + encode(example());
  for (size_t piece : {size_t{1}, size_t{5}, size_t{12}, bytes.size()}) {
    Result<std::vector<Message>> messages = decode(bytes, piece);
    ASSERT_TRUE(messages) << messages.error().message;
    ASSERT_EQ(messages->size(), 3u);
    EXPECT_EQ((*messages)[2].head, example().head);
    EXPECT_EQ((*messages)[2].body, example().body);
    EXPECT_EQ((*messages)[0].type(), "report");
  }
}

TEST(Message, CutShortItIsNoMessageYet) {
  std::string bytes = encode(example());
  for (size_t length = 0; length < bytes.size(); ++length) {
    Result<std::vector<Message>> messages = decode(std::string_view(bytes).substr(0, length), bytes.size());
    ASSERT_TRUE(messages) << length;
    EXPECT_TRUE(messages->empty()) << length;
  }
}

TEST(Message, WithABitFlippedNeverReadsOutsideItsBytes) {
  std::string bytes = encode(example());
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = bytes;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
      Result<std::vector<Message>> messages = decode(flipped, flipped.size());
      if (at < 4) {
        EXPECT_FALSE(messages) << "a wrong magic was taken, byte " << at;
      }
      if (messages) {
        EXPECT_LE(messages->size(), 1u);
      } else {
        EXPECT_EQ(messages.error().cause, Cause::bad_data);
      }
    }
  }
}

TEST(Message, OverTheLimitsIsRefusedBeforeItArrives) {
  MessageDecoder head, body;
  head.feed(std::string_view("GNF1\x01\x00\x40\x00\x00\x00\x00\x00", 12));
  Result<std::optional<Message>> refused = head.next();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "a message has a head of 4194305 bytes, more than 4194304");
  body.feed(std::string_view("GNF1\x02\x00\x00\x00\x01\x00\x00\x04", 12));
  refused = body.next();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "a message has a body of 67108865 bytes, more than 67108864");
}

TEST(Message, AfterAnErrorTheDecoderStaysBroken) {
  MessageDecoder decoder;
  decoder.feed("HTTP/1.1 200 OK");
  EXPECT_FALSE(decoder.next());
  decoder.feed(encode(example()));
  EXPECT_FALSE(decoder.next());
}

TEST(Message, AHeadThatIsNoMapIsRefused) {
  MessageDecoder decoder;
  decoder.feed(std::string("GNF1\x02\x00\x00\x00\x00\x00\x00\x00[]", 14));
  Result<std::optional<Message>> refused = decoder.next();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "the head of a message is not a map");
}

}  // namespace
}  // namespace gnnflow
