// What gc says that it has removed.
#include "orchestrator/cli/gc_report.h"

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

std::vector<HostTidy> three_hosts() {
  std::vector<HostTidy> hosts(3);
  hosts[0].name = "controller";
  hosts[0].doomed = {{"outputs/graph/0123/1", 2048, 0}, {"logs/a.log", 10, 0}, {"logs/b.log", 20, 0}};
  hosts[1].name = "node1";
  hosts[2].name = "node2";
  hosts[2].error = Error{Cause::unreachable, "host node2: no route"};
  return hosts;
}

TEST(GcReport, SaysPerHostWhatWentAndHowManyBytes) {
  EXPECT_EQ(gc_text({"flow", false}, three_hosts()),
            "gc of flow: 2.0 KiB removed\n"
            "  controller  2.0 KiB\n"
            "    graph, attempt 1: 2.0 KiB\n"
            "    2 logs: 30 B\n"
            "  node1       nothing\n"
            "  node2       not done\n");
}

TEST(GcReport, OfADryRunSaysWhatWouldGo) {
  EXPECT_EQ(gc_text({"flow", true}, three_hosts()).find("gc of flow: 2.0 KiB would be removed\n"), 0u);
  EXPECT_EQ(gc_text({"flow", true}, {}), "gc of flow: nothing to remove\n");
}

TEST(GcReport, AsJsonHasEveryPathAndTheErrors) {
  const Json json = gc_json({"flow", false}, three_hosts());
  const Json::Array& hosts = json.get("hosts").array();
  ASSERT_EQ(hosts.size(), 3u);
  EXPECT_EQ(hosts[0].get("bytes"), Json(2078));
  EXPECT_EQ(hosts[0].get("removed").array()[0].get("path"), Json("outputs/graph/0123/1"));
  EXPECT_EQ(hosts[2].get("error").get("cause"), Json("unreachable"));
  EXPECT_FALSE(hosts[1].has("error"));
}

TEST(GcReport, AHostThatIsPassedOverHasItsReasonAndNoError) {
  std::vector<HostTidy> hosts(1);
  hosts[0].name = "node3";
  hosts[0].passed_over = "never used";
  EXPECT_EQ(gc_text({"flow", false}, hosts),
            "gc of flow: nothing to remove\n"
            "  node3  never used\n");
  const Json json = gc_json({"flow", false}, hosts);
  EXPECT_EQ(json.get("hosts").array().at(0).get("passed_over"), Json("never used"));
  EXPECT_FALSE(json.get("hosts").array().at(0).has("error"));
}

}  // namespace
}  // namespace gnnflow
