// Listening on paths, and the place of a daemon's socket.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "common/wire/message.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

TEST(UnixSocket, IsForItsOwnerOnlyAndConnects) {
  TempDir temp;
  Result<FileDescriptor> listener = listen_unix(temp / "sock");
  ASSERT_TRUE(listener) << listener.error().message;
  struct stat info {};
  ASSERT_EQ(::stat((temp / "sock").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  Result<MessageLink> link = MessageLink::connect_unix(temp / "sock");
  ASSERT_TRUE(link) << link.error().message;
  EXPECT_TRUE(accept_unix(listener->get()));
}

TEST(UnixSocket, ADeadOneIsReplacedAndALivingOneIsNot) {
  TempDir temp;
  { ASSERT_TRUE(listen_unix(temp / "sock")); }
  Result<MessageLink> refused = MessageLink::connect_unix(temp / "sock");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().cause, Cause::unreachable);
  Result<FileDescriptor> listener = listen_unix(temp / "sock");
  ASSERT_TRUE(listener) << listener.error().message;
  Result<FileDescriptor> second = listen_unix(temp / "sock");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().cause, Cause::locked);
}

TEST(UnixSocket, OneThatNobodyAcceptsFromRefusesAtLastInsteadOfWaitingForEver) {
  TempDir temp;
  Result<FileDescriptor> listener = listen_unix(temp / "sock");
  ASSERT_TRUE(listener) << listener.error().message;
  Status connected;
  for (int i = 0; connected && i < 1000; ++i) {
    Result<MessageLink> link = MessageLink::connect_unix(temp / "sock");
    if (!link) connected = link.error();
  }
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().cause, Cause::unreachable);
}

TEST(UnixSocket, APathThatIsTooLongIsNamed) {
  TempDir temp;
  Result<FileDescriptor> listener = listen_unix(temp / std::string(120, 'x'));
  ASSERT_FALSE(listener);
  EXPECT_NE(listener.error().message.find("a socket's path holds 107 bytes at most"), std::string::npos);
}

TEST(UnixSocket, ADaemonsPlaceDependsOnItsRootAlone) {
  TempDir temp;
  fs::path root = temp / "root";
  Result<fs::path> before = daemon_socket_path(root);
  ASSERT_TRUE(before);
  EXPECT_FALSE(fs::exists(before->parent_path()));
  ASSERT_TRUE(create_folders(root));
  EXPECT_EQ(*daemon_socket_path(root), *before);
  EXPECT_EQ(*daemon_socket_path(root.string() + "/"), *before);
  EXPECT_NE(*daemon_socket_path(temp / "other"), *before);
}

TEST(UnixSocket, AFolderThatOthersMayEnterIsRefused) {
  TempDir temp;
  Result<fs::path> socket = daemon_socket_path(temp / "root");
  ASSERT_TRUE(socket);
  ASSERT_TRUE(make_socket_folder(*socket));
  ASSERT_TRUE(make_socket_folder(*socket));
  fs::permissions(socket->parent_path(), fs::perms(0755));
  Result<fs::path> refused = daemon_socket_path(temp / "root");
  EXPECT_TRUE(remove_tree(socket->parent_path()));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("is not a folder of this user alone"), std::string::npos);
}

}  // namespace
}  // namespace gnnflow
