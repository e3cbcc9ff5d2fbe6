// One request, one reply, without sockets: what a server says to each kind of request.
#include "worker/graph_server/answerer.h"

#include <limits>

#include "tests/worker/graph_server/toy_servers.h"

namespace gnnflow {
namespace {

class AnswererTest : public testing::Test {
 protected:
  AnswererTest() {
    served_.part = MappedPart::open(partition_, 1).value();
    served_.digest = partition_.index().digest();
    served_.types = numbered_types(partition_.index());
    served_.relations = numbered_relations(partition_.index());
    served_.max_ids = 100;
    served_.max_reply_bytes = 2000;
    served_.pool = &pool_;
    first_ = static_cast<int32_t>(partition_.ranges().begin[1]);
  }

  // Frames before `first` are the sender's identity.
  Reply answer(Frames& frames) {
    answerer_.answer(frames, 1);
    EXPECT_EQ(frames[0].text(), "client");
    const auto reply = decode_reply(frames, 1);
    EXPECT_TRUE(reply) << reply.error().message;
    return reply ? *reply : Reply{};
  }

  static Frames from_client() {
    Frames frames;
    frames.add(Frame("client"));
    return frames;
  }

  std::pair<Answer, std::string> hello(int part, const std::string& digest) {
    Frames frames = from_client();
    encode_hello(1, part, digest, frames, 1);
    const Reply reply = answer(frames);
    return {reply.head.answer, std::string(reply.text)};
  }

  std::pair<Answer, std::string> rows(const std::vector<int32_t>& nodes, uint16_t type = 0) {
    Frames frames = from_client();
    encode_rows(2, type, nodes, frames, 1);
    const Reply reply = answer(frames);
    return {reply.head.answer, std::string(reply.text)};
  }

  std::pair<Answer, std::string> neighbours(const std::vector<int32_t>& nodes, int16_t fanout,
                                            uint16_t relation = 0) {
    Frames frames = from_client();
    encode_neighbours(3, relation, fanout, 77, nodes, frames, 1);
    const Reply reply = answer(frames);
    return {reply.head.answer, std::string(reply.text)};
  }

  const TempDir folder_;
  const PartitionDir partition_ =
      PartitionDir::open(make_partition(folder_, kServedToy, 2, "random")).value();
  FramePool pool_{1 << 20};
  Served served_;
  Answerer answerer_{served_};
  int32_t first_ = 0;
};

using Said = std::pair<Answer, std::string>;

TEST_F(AnswererTest, GreetsTheSamePartitionOnly) {
  const std::string digest = partition_.index().digest(), other(kDigestBytes, '0');
  EXPECT_EQ(hello(1, digest), Said(Answer::ok, digest));
  EXPECT_EQ(hello(1, other),
            Said(Answer::refused, "partition digest: client " + other + ", server " + digest));
  EXPECT_EQ(hello(0, digest), Said(Answer::refused, "part: client wants 0, server has 1"));
  EXPECT_EQ(served_.counters.refused, 2);
}

TEST_F(AnswererTest, RepeatsRequestIdAndCount) {
  Frames frames = from_client();
  encode_rows(0xABCDEF0123ull, 0, std::vector<int32_t>{first_, first_ + 1}, frames, 1);
  const Reply reply = answer(frames);
  EXPECT_EQ(reply.head.answer, Answer::ok);
  EXPECT_EQ(reply.head.request, 0xABCDEF0123ull);
  EXPECT_EQ(reply.head.count, 2u);
  EXPECT_EQ(reply.rows.size(), 2u * 20 * sizeof(float));
}

TEST_F(AnswererTest, RefusesNodesOfOtherParts) {
  const std::string wanted = fmt::format("node {} is not one of part 1", first_ - 1);
  EXPECT_EQ(rows({first_, first_ - 1}), Said(Answer::bad_data, wanted));
  EXPECT_EQ(neighbours({first_, first_ - 1}, 5), Said(Answer::bad_data, wanted));
  for (const int32_t node :
       {-1, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max(), 300}) {
    EXPECT_EQ(rows({node}).first, Answer::bad_data);
    EXPECT_EQ(neighbours({node}, kAllNeighbours).first, Answer::bad_data);
  }
}

TEST_F(AnswererTest, RefusesTypesAndRelationsThatItLacks) {
  EXPECT_EQ(rows({first_}, 1), Said(Answer::bad_request, "no node type number 1"));
  EXPECT_EQ(neighbours({first_}, 5, 9), Said(Answer::bad_request, "no relation number 9"));
  EXPECT_EQ(served_.counters.bad_messages, 2);
}

TEST_F(AnswererTest, RefusesWhatIsOverItsLimits) {
  EXPECT_EQ(rows(std::vector<int32_t>(101, first_)),
            Said(Answer::bad_request, "101 ids in one request, at most 100"));
  EXPECT_EQ(rows(std::vector<int32_t>(30, first_)),
            Said(Answer::bad_request, "a reply of 2400 bytes, at most 2000"));
  EXPECT_EQ(neighbours(std::vector<int32_t>(100, first_), 5),
            Said(Answer::too_large, "neighbours of 100 nodes: a reply of 2404 bytes, at most 2000"));
  EXPECT_EQ(neighbours(std::vector<int32_t>(100, first_), 3).first, Answer::ok);
}

TEST_F(AnswererTest, DrawsAsThePickFunctionSays) {
  Frames frames = from_client();
  const std::vector<int32_t> nodes{first_ + 5, first_, first_ + 3};
  encode_neighbours(3, 0, 4, 77, nodes, frames, 1);
  const Reply reply = answer(frames);
  ASSERT_EQ(reply.head.answer, Answer::ok);
  Buffer<int32_t> offsets, sources;
  offsets.push_back(0);
  ASSERT_TRUE(served_.part->draw(kRelation, 77, 4, nodes, offsets, sources));
  ASSERT_EQ(reply.sources.size(), sources.size());
  for (size_t i = 0; i < sources.size(); ++i) EXPECT_EQ(reply.sources[i], sources[i]);
  for (size_t i = 0; i < offsets.size(); ++i) EXPECT_EQ(reply.offsets[i], offsets[i]);
}

TEST_F(AnswererTest, TakesEmptyLists) {
  EXPECT_EQ(rows({}).first, Answer::ok);
  EXPECT_EQ(neighbours({}, 5).first, Answer::ok);
}

TEST_F(AnswererTest, CountsWhatItDid) {
  rows({first_, first_ + 1});
  Frames frames = from_client();
  encode_plain(Operation::stats, 4, frames, 1);
  const auto stats = Json::parse(answer(frames).text);
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->get("requests").integer(), 2);
  EXPECT_EQ(stats->get("rows").integer(), 2);
  EXPECT_EQ(stats->get("bytes").integer(), 160);
}

TEST_F(AnswererTest, TakesNothingNewWhileItDrains) {
  Frames frames = from_client();
  encode_plain(Operation::drain, 4, frames, 1);
  EXPECT_EQ(answer(frames).head.answer, Answer::ok);
  EXPECT_EQ(rows({first_}), Said(Answer::draining, "the graph server is about to end"));
  EXPECT_EQ(neighbours({first_}, 2).first, Answer::draining);
  EXPECT_EQ(hello(1, partition_.index().digest()).first, Answer::ok);
}

TEST_F(AnswererTest, AnswersNonsenseWithTheIdThatItHad) {
  Frames frames = from_client();
  encode_rows(0x55AA, 0, std::vector<int32_t>{first_}, frames, 1);
  frames[1].bytes()[4] = std::byte{9};  // version
  const Reply reply = answer(frames);
  EXPECT_EQ(reply.head.answer, Answer::bad_request);
  EXPECT_EQ(reply.head.request, 0x55AAu);
  EXPECT_EQ(reply.text, "graph protocol: version 9 of the peer, 1 here: run the same gnnflow on all hosts");
  Frames only_identity = from_client();
  EXPECT_EQ(answer(only_identity).head.answer, Answer::bad_request);
  EXPECT_EQ(served_.counters.bad_messages, 2);
}

}  // namespace
}  // namespace gnnflow
