// Frames over pipes: the ends of a conversation.
#include "worker/receive/frames.h"

#include <array>
#include <csignal>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "worker/receive/wanted.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kLong{20'000};

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) bug("no pipe");
    read = FileDescriptor(ends[0]);
    write = FileDescriptor(ends[1]);
  }
  FileDescriptor read, write;
};

class FramesTest : public testing::Test {
 protected:
  Pipe in, out;
  Frames frames{in.read.get(), out.write.get()};
};

TEST_F(FramesTest, ComeInPiecesAndGoOutWhole) {
  Message message = message_of("chunk");
  message.body = std::string(3000, 'x');
  const std::string bytes = encode(message) + encode(message_of("done"));
  ASSERT_EQ(::write(in.write.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  Result<std::optional<Message>> first = frames.receive(kLong), second = frames.receive(kLong);
  ASSERT_TRUE(first && *first && second && *second);
  EXPECT_EQ((*first)->body, message.body);
  EXPECT_EQ((*second)->type(), "done");
  ASSERT_TRUE(frames.send(message));
  std::string said(10'000, '\0');
  said.resize(static_cast<size_t>(::read(out.read.get(), said.data(), said.size())));
  EXPECT_EQ(said, encode(message));
}

TEST_F(FramesTest, AnEndBetweenTwoMessagesIsAnEndAndInsideOneAnError) {
  const std::string bytes = encode(message_of("hello"));
  ASSERT_EQ(::write(in.write.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  ASSERT_TRUE(frames.receive(kLong));
  in.write.reset();
  Result<std::optional<Message>> end = frames.receive(kLong);
  ASSERT_TRUE(end);
  EXPECT_FALSE(end->has_value());

  Pipe other;
  Frames cut(other.read.get(), out.write.get());
  ASSERT_EQ(::write(other.write.get(), bytes.data(), bytes.size() - 1),
            static_cast<ssize_t>(bytes.size() - 1));
  other.write.reset();
  EXPECT_EQ(cut.receive(kLong).error().cause, Cause::unreachable);
}

TEST_F(FramesTest, SilenceAndAReaderThatIsGoneAreUnreachable) {
  Result<std::optional<Message>> nothing = frames.receive(Milliseconds(20));
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().cause, Cause::unreachable);
  EXPECT_EQ(nothing.error().message, "nothing came for 20 ms");
  ::signal(SIGPIPE, SIG_IGN);
  out.read.reset();
  EXPECT_EQ(frames.send(message_of("reply")).error().cause, Cause::unreachable);
  ::signal(SIGPIPE, SIG_DFL);
}

TEST(Wanted, ReadsListsStrictly) {
  const auto files = [](const char* text, const char* at = "to") { return files_of(*Json::parse(text), at); };
  const std::string digest(32, 'a');
  Result<std::vector<WantedFile>> good = files(
      ("{\"to\":\"d\",\"files\":[{\"path\":\"x/y\",\"bytes\":3,\"digest\":\"" + digest + "\"}]}").c_str());
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ(good->at(0).path, "d/x/y");
  EXPECT_EQ(good->at(0).bytes, 3);
  EXPECT_EQ(good->at(0).offset, 0);
  for (const char* bad :
       {"{}", "{\"files\":3}", "{\"files\":[1]}",
        "{\"files\":[{\"path\":\"x\",\"bytes\":1,\"digest\":\"zz\"}]}",
        "{\"files\":[{\"path\":\"x\",\"bytes\":-1,\"digest\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}]}",
        "{\"files\":[{\"path\":\"../x\",\"bytes\":1,\"digest\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}]}",
        "{\"to\":\"..\",\"files\":[{\"path\":\"x\",\"bytes\":1,\"digest\":"
        "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}]}"}) {
    Result<std::vector<WantedFile>> list = files(bad);
    ASSERT_FALSE(list) << bad;
    EXPECT_EQ(exit_code(list.error().cause), 12);
  }
  EXPECT_EQ(*root_of(*Json::parse("{\"root\":\"/a/b/\"}")), "/a/b");
  EXPECT_FALSE(root_of(*Json::parse("{\"root\":\"a\"}")));
  EXPECT_FALSE(root_of(*Json::parse("{}")));
}

}  // namespace
}  // namespace gnnflow
