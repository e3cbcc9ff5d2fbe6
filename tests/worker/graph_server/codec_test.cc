// The graph protocol's frames: what is written is read, and nothing cut, changed or invented is believed.
#include "worker/graph_server/codec.h"

#include <random>

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

const std::string kDigest(kDigestBytes, 'a');
const std::vector<int32_t> kNodes{5, 0, 7, 2147483647};

std::vector<std::string> contents_of(const Frames& frames) {
  std::vector<std::string> contents;
  for (int i = 0; i < frames.count; ++i) contents.emplace_back(frames[i].text());
  return contents;
}

Frames frames_of(const std::vector<std::string>& contents) {
  Frames frames;
  for (const std::string& content : contents) {
    if (frames.count < Frames::kMax) {
      frames.add(Frame(content));
    } else {
      ++frames.count;
    }
  }
  return frames;
}

std::vector<std::vector<std::string>> all_requests() {
  std::vector<std::vector<std::string>> all;
  Frames frames;
  encode_hello(1, 3, kDigest, frames);
  all.push_back(contents_of(frames));
  encode_rows(2, 1, kNodes, frames);
  all.push_back(contents_of(frames));
  encode_rows(2, 1, {}, frames);
  all.push_back(contents_of(frames));
  encode_neighbours(3, 2, 15, 0x1234567890ABCDEFull, kNodes, frames);
  all.push_back(contents_of(frames));
  encode_plain(Operation::stats, 4, frames);
  all.push_back(contents_of(frames));
  encode_plain(Operation::drain, 5, frames);
  all.push_back(contents_of(frames));
  return all;
}

Frames neighbours_reply() {
  const std::vector<int32_t> offsets{0, 2, 2, 3}, sources{9, 8, 7};
  Frames frames = frames_of({"", std::string(reinterpret_cast<const char*>(offsets.data()), 16),
                             std::string(reinterpret_cast<const char*>(sources.data()), 12)});
  finish_reply({.operation = Operation::neighbours, .request = 3, .count = 3, .index = 2, .detail = 15},
               frames, 0);
  return frames;
}

std::vector<std::vector<std::string>> all_replies() {
  std::vector<std::vector<std::string>> all;
  Frames frames;
  encode_text_reply({.operation = Operation::hello, .request = 1}, kDigest, frames, 0);
  all.push_back(contents_of(frames));
  encode_text_reply({.operation = Operation::rows, .answer = Answer::busy, .request = 2, .count = 20}, "",
                    frames, 0);
  all.push_back(contents_of(frames));
  encode_text_reply({.operation = Operation::rows, .answer = Answer::bad_data, .request = 2}, "broken",
                    frames, 0);
  all.push_back(contents_of(frames));
  frames = frames_of({"", std::string(24, 'r')});
  finish_reply({.operation = Operation::rows, .request = 2, .count = 2, .detail = 1}, frames, 0);
  all.push_back(contents_of(frames));
  all.push_back(contents_of(neighbours_reply()));
  return all;
}

std::string why(const std::vector<std::string>& request) {
  const auto decoded = decode_request(frames_of(request), 0);
  if (decoded) return "no error";
  EXPECT_EQ(decoded.error().cause, Cause::bad_data);
  return decoded.error().message;
}

TEST(GraphCodec, ReadsTheHeadThatItWrote) {
  const Head head{.operation = Operation::neighbours,
                  .reply = true,
                  .answer = Answer::bad_data,
                  .request = 0x123456789ABCDEF0ull,
                  .count = 4'000'000'000u,
                  .index = 65535,
                  .detail = -1,
                  .bytes = uint64_t{1} << 40};
  const auto bytes = encode_head(head);
  const auto read = decode_head(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->operation, head.operation);
  EXPECT_TRUE(read->reply);
  EXPECT_EQ(read->answer, head.answer);
  EXPECT_EQ(read->request, head.request);
  EXPECT_EQ(read->count, head.count);
  EXPECT_EQ(read->index, head.index);
  EXPECT_EQ(read->detail, head.detail);
  EXPECT_EQ(read->bytes, head.bytes);
  EXPECT_EQ(request_id_of(bytes), head.request);
}

TEST(GraphCodec, LaysTheHeadOutAsDocumented) {
  const auto bytes = encode_head({.operation = Operation::rows,
                                  .request = 0x0807060504030201ull,
                                  .count = 0x0C0B0A09,
                                  .index = 0x0E0D,
                                  .detail = 0x100F,
                                  .bytes = 0x1817161514131211ull});
  const std::string head(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  EXPECT_EQ(head,
            std::string("GNG1\x01\x02\0\0\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B\x0C\x0D\x0E\x0F\x10"
                        "\x11\x12\x13\x14\x15\x16\x17\x18",
                        32));
}

TEST(GraphCodec, ReadsTheRequestsThatItWrote) {
  const auto requests = all_requests();
  const auto hello = decode_request(frames_of(requests[0]), 0);
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->head.index, 3);
  const Frames rows_frames = frames_of(requests[1]);
  const auto rows = decode_request(rows_frames, 0);
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->nodes.size(), kNodes.size());
  for (size_t i = 0; i < kNodes.size(); ++i) EXPECT_EQ(rows->nodes[i], kNodes[i]);
  const Frames neighbour_frames = frames_of(requests[3]);
  const auto neighbours = decode_request(neighbour_frames, 0);
  ASSERT_TRUE(neighbours);
  EXPECT_EQ(neighbours->layer_key, 0x1234567890ABCDEFull);
  EXPECT_EQ(neighbours->head.detail, 15);
  EXPECT_EQ(neighbours->nodes[2], 7);
}

TEST(GraphCodec, ReadsTheNeighboursThatItWrote) {
  const Frames frames = neighbours_reply();
  const auto reply = decode_reply(frames, 0);
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->offsets[3], 3);
  EXPECT_EQ(reply->sources[2], 7);
}

TEST(GraphCodec, SaysWhatIsWrongWithARequest) {
  const auto requests = all_requests();
  auto changed = [&](size_t request, size_t frame, size_t at, char value) {
    auto contents = requests[request];
    contents[frame][at] = value;
    return contents;
  };
  EXPECT_EQ(why({}), "graph protocol: a message of 0 frames");
  EXPECT_EQ(why({"short"}), "graph protocol: a head of 5 bytes, not 32");
  EXPECT_EQ(why({requests[4][0], "a", "b", "c", "d"}), "graph protocol: a message of 5 frames");
  EXPECT_EQ(why(changed(1, 0, 0, 'X')), "graph protocol: wrong magic number");
  EXPECT_EQ(why(changed(1, 0, 4, 2)),
            "graph protocol: version 2 of the peer, 1 here: run the same gnnflow on all hosts");
  EXPECT_EQ(why(changed(1, 0, 5, 99)), "graph protocol: unknown operation 99");
  EXPECT_EQ(why(changed(1, 0, 6, 2)), "graph protocol: unknown flags 0x2");
  EXPECT_EQ(why(changed(1, 0, 6, 1)), "graph protocol: a reply to nothing");
  EXPECT_EQ(why(changed(1, 0, 7, 1)), "graph protocol: unknown answer 1");
  EXPECT_EQ(why(changed(1, 0, 16, 5)), "graph protocol: 16 bytes for a list of 5 ids");
  EXPECT_EQ(why(changed(1, 0, 22, 1)), "graph protocol: rows asked for in unknown form 1");
  EXPECT_EQ(why(changed(3, 0, 23, 100)), "graph protocol: fan-out 25615, not -1 to 1024");
  EXPECT_EQ(why({requests[3][0], requests[3][1]}),
            "graph protocol: 8 bytes follow the head, which promised 24");
}

template <typename Decode>
void cut_and_flip(const std::vector<std::string>& message, Decode decode) {
  for (size_t frame = 0; frame < message.size(); ++frame) {
    for (size_t length = 0; length < message[frame].size(); ++length) {
      auto cut = message;
      cut[frame].resize(length);
      EXPECT_FALSE(decode(frames_of(cut))) << "frame " << frame << " cut to " << length;
    }
    auto missing = message;
    missing.erase(missing.begin() + static_cast<ptrdiff_t>(frame));
    // Without a frame that was empty the byte count still fits, but the number of arrays does not.
    EXPECT_FALSE(decode(frames_of(missing)));
  }
  auto longer = message;
  longer.push_back("");
  EXPECT_FALSE(decode(frames_of(longer)));
  for (size_t byte = 0; byte < kHeadBytes; ++byte) {
    for (int bit = 0; bit < 8; ++bit) {
      auto flipped = message;
      flipped[0][byte] = static_cast<char>(flipped[0][byte] ^ 1 << bit);
      (void)decode(frames_of(flipped));  // may be another valid head, but must not read beyond the frames
    }
  }
}

TEST(GraphCodec, RefusesEveryCutRequestAndSurvivesEveryFlippedBit) {
  for (const auto& request : all_requests()) {
    cut_and_flip(request, [](const Frames& frames) { return bool(decode_request(frames, 0)); });
  }
}

TEST(GraphCodec, RefusesEveryCutReplyAndSurvivesEveryFlippedBit) {
  for (const auto& reply : all_replies()) {
    cut_and_flip(reply, [](const Frames& frames) { return bool(decode_reply(frames, 0)); });
  }
}

TEST(GraphCodec, RefusesOffsetsThatDoNotFitTheirSources) {
  for (const auto& [at, value] :
       {std::pair<size_t, char>{0, 1}, {4, 3}, {8, 1}, {12, 2}, {12, 4}, {15, '\x80'}}) {
    auto contents = contents_of(neighbours_reply());
    contents[1][at] = value;
    EXPECT_FALSE(decode_reply(frames_of(contents), 0)) << at;
  }
}

TEST(GraphCodec, SurvivesRandomBytes) {
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::string> contents(random() % 6);
    for (std::string& content : contents) {
      content.resize(random() % 2 == 0 ? kHeadBytes : random() % 70);
      for (char& c : content) c = static_cast<char>(random());
      if (content.size() >= 8 && random() % 2 == 0) content.replace(0, 5, "GNG1\x01", 5);
    }
    EXPECT_FALSE(decode_request(frames_of(contents), 0) && decode_reply(frames_of(contents), 0));
  }
}

}  // namespace
}  // namespace gnnflow
