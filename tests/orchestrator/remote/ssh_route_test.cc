// Which jumps a configuration means.
#include "orchestrator/remote/ssh_route.h"

#include <gtest/gtest.h>

#include "tests/support/throwaway_sshd.h"

namespace gnnflow {
namespace {

const SshTarget kTarget{"node2", "worker", "", 0, {}, "/state/known_hosts"};

std::string jumps(const std::string& command) {
  Result<std::vector<SshTarget>> found = jumps_of(command, kTarget);
  if (!found) return "refused";
  std::string text;
  for (const SshTarget& jump : *found) {
    EXPECT_EQ(jump.known_hosts, kTarget.known_hosts);
    text += jump.user + "@" + jump.address + ":" + std::to_string(jump.port) + " ";
  }
  return text;
}

TEST(SshRoute, WhatTheParserMakesOfProxyJumpIsReadBackInItsOrder) {
  EXPECT_EQ(jumps("ssh -W '[%h]:%p' gate"), "@gate:0 ");
  EXPECT_EQ(jumps("ssh -l bob -p 2222 -J b,ann@c:2200 -W '[%h]:%p' a"), "bob@a:2222 @b:0 ann@c:2200 ");
  EXPECT_EQ(jumps("ssh -J ann@[fe80::1]:2200,::1 -W '[%h]:%p' a"), "@a:0 ann@fe80::1:2200 @::1:0 ");
}

TEST(SshRoute, AJumpWrittenAsProxyCommandIsOneAndNothingElseIs) {
  EXPECT_EQ(jumps("ssh -q -W %h:%p bob@gate:2222"), "bob@gate:2222 ");
  EXPECT_EQ(jumps("ssh -J first -W [%h]:%p second"), "@first:0 @second:0 ");
  EXPECT_EQ(jumps(""), "");
  EXPECT_EQ(jumps("none"), "");
  for (const char* other :
       {"nc %h %p", "ssh gate", "ssh -W %h:%p", "ssh -W", "ssh gate nc %h %p", "ssh -F f -W %h:%p gate",
        "ssh -W other:22 gate", "ssh -l", "connect-proxy -S x %h %p"})
    EXPECT_EQ(jumps(other), "refused") << other;
}

TEST(SshRoute, AJumpThatHoldsForItselfTooIsGoneToStraight) {
  EXPECT_EQ(jumps("ssh -W '[%h]:%p' worker"), "");
}

TEST(SshRoute, TheEntryGoesBeforeTheConfigurationAndThatBeforeTheDefaults) {
  const SshHome home;
  home.config(
      "Host worker\n  HostName 10.0.0.3\n  User ann\n  Port 2222\n  ProxyJump bob@gate:2200\n"
      "Host *\n  User everybody\n");
  Result<SshRoute> route = find_route(kTarget);
  ASSERT_TRUE(route) << route.error().message;
  EXPECT_EQ(route->place, "ann@10.0.0.3:2222");
  ASSERT_EQ(route->jumps.size(), 1u);
  EXPECT_EQ(route->jumps[0].user + "@" + route->jumps[0].address, "bob@gate");
  EXPECT_EQ(route->jumps[0].port, 2200);
  EXPECT_EQ(route->known_hosts, (std::vector<fs::path>{home.path() / ".ssh/known_hosts",
                                                       "/etc/ssh/ssh_known_hosts", "/state/known_hosts"}));

  SshTarget told = kTarget;
  told.user = "eve";
  told.port = 22;
  told.identity = "~/keys/mine";
  route = find_route(told);
  ASSERT_TRUE(route) << route.error().message;
  EXPECT_EQ(route->place, "eve@10.0.0.3:22");
  EXPECT_EQ(route->identity, home.path() / "keys/mine");

  told.address = "::1";
  route = find_route(told);
  ASSERT_TRUE(route) << route.error().message;
  EXPECT_EQ(route->host, "::1");
}

TEST(SshRoute, AConfigurationThatCannotBeReadIsTold) {
  const SshHome home;
  home.config("Host *\n  ProxyJump gate:ssh\n");
  Result<SshRoute> route = find_route(kTarget);
  ASSERT_FALSE(route);
  EXPECT_EQ(route.error().cause, Cause::unreachable);
  EXPECT_NE(
      route.error().message.find("the ssh configuration (~/.ssh/config, /etc/ssh/ssh_config) cannot be used"),
      std::string::npos);
}

}  // namespace
}  // namespace gnnflow
