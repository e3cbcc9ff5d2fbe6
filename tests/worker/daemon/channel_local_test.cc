// What a channel keeps while its reader is behind, measured in memory.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/text.h"
#include "worker/daemon/channel.h"

namespace gnnflow {
namespace {

constexpr int64_t kPart = 256 << 10;

int64_t resident_bytes() {
  const std::vector<std::string> pages = split(*read_file("/proc/self/statm"), ' ');
  return *parse_integer(pages.at(1)) * ::sysconf(_SC_PAGESIZE);
}

// False when it ends before that.
bool read_bytes(int socket, Channel& channel, int64_t left) {
  std::string buffer(1 << 20, '\0');
  while (left > 0) {
    const ssize_t got = ::recv(socket, buffer.data(), static_cast<size_t>(left), MSG_DONTWAIT);
    if (got == 0 || channel.cut_off()) return false;
    if (got > 0) left -= got;
    if (got < 0) channel.flush();
  }
  return true;
}

// A reader who is always a little behind: what was sent is not kept.
TEST(ChannelMemory, WhatNeverDrainsDoesNotGrow) {
  constexpr int64_t kTotal = int64_t{768} << 20;  // more than a sanitizer keeps of what was freed
  std::pair<FileDescriptor, FileDescriptor> ends = *make_socket_pair();
  Channel channel(std::move(ends.first), {1 << 20, Milliseconds(600'000)}, [] {});
  Message message;
  message.head["type"] = "part";
  message.body = std::string(kPart, 'x');
  const int64_t before = resident_bytes();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(channel.send(message));
  for (int64_t sent = 0; sent < kTotal; sent += kPart) {
    ASSERT_TRUE(channel.send(message));
    ASSERT_TRUE(read_bytes(ends.second.get(), channel, kPart));
    ASSERT_TRUE(channel.wants_to_write());
  }
  EXPECT_LT(resident_bytes() - before, kTotal / 3 * 2);
}

}  // namespace
}  // namespace gnnflow
