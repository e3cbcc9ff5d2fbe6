// Hosts without any network: what is listed, what a login's answer means, which keys are new, what is
// refused.
#include <gtest/gtest.h>

#include "orchestrator/cli/hosts_check.h"
#include "orchestrator/cli/hosts_trust.h"
#include "orchestrator/store/run_store.h"
#include "tests/orchestrator/cli/recorded_console.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

constexpr std::string_view kFlow = R"(gnnflow: 1
name: flow
hosts:
  near: { address: local }
  far: { address: 192.0.2.1, user: ann, port: 2222 }
steps:
  - name: first
    exec: { command: ["true"] }
)";

TEST(Hosts, ListsEntriesThatWereNeverUsed) {
  TempDir folder;
  folder.file("flow.yml", kFlow);
  Ran ran = run_here(folder.path(), {"hosts", "list", "flow.yml"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out,
            "hosts of flow:\n"
            "  controller  this machine          never used\n"
            "  near        this machine          never used\n"
            "  far         ann@[192.0.2.1]:2222  never used\n");
  EXPECT_FALSE(fs::exists(folder / ".gnnflow"));
}

TEST(Hosts, ListsWhatTheStateKnowsAlsoOfHostsThatTheWorkflowHasNoMore) {
  TempDir folder;
  folder.file("flow.yml", kFlow);
  {
    const Json old(Json::Object{{"address", "192.0.2.9"}});
    Result<RunStore> store =
        RunStore::open(folder / ".gnnflow/flow", {"flow", folder / "flow.yml"}, {{"old", old}});
    ASSERT_TRUE(store) << store.error().message;
    HostRow row;
    row.name = "near";
    row.state = HostState::gone;
    row.root = "/srv/near";
    row.last_seen_ms = system_clock().unix_milliseconds() - 3 * 60'000;
    ASSERT_TRUE(store->set_host(row));
    row = HostRow();
    row.name = "old";
    row.state = HostState::gone;
    row.root = "/srv/old";
    ASSERT_TRUE(store->set_host(row));
  }
  Ran ran = run_here(folder.path(), {"hosts"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("last seen 3m 00s ago, data in /srv/near\n"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("old         192.0.2.9             never reached, no longer in the workflow\n"),
            std::string::npos)
      << ran.out;
  Result<Json> json = Json::parse(run_here(folder.path(), {"hosts", "list", "flow.yml", "--json"}).out);
  ASSERT_TRUE(json);
  ASSERT_EQ(json->get("hosts").array().size(), 4u);
  EXPECT_EQ(json->get("hosts").array()[3].get("in_workflow"), Json(false));
}

TEST(Hosts, TrustOfAHostThatIsNotThereOrIsThisMachineIsRefused) {
  TempDir folder;
  folder.file("flow.yml", kFlow);
  Ran ran = run_here(folder.path(), {"hosts", "trust", "flow.yml", "fra"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_EQ(ran.err, "gnnflow: the workflow has no host 'fra'; did you mean 'far'?\n");
  ran = run_here(folder.path(), {"hosts", "trust", "flow.yml", "near"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_EQ(ran.err, "gnnflow: host near is this machine: it has no key to learn\n");
}

TEST(Hosts, TrustWhereAllHostsAreThisMachineHasNothingToDo) {
  TempDir folder;
  folder.file("flow.yml",
              "gnnflow: 1\nname: flow\nhosts: { near: { address: local } }\nsteps:\n"
              "  - name: first\n    exec: { command: [ls] }\n");
  Ran ran = run_here(folder.path(), {"hosts", "trust", "flow.yml"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.err, "all hosts are this machine: there are no keys to learn\n");
}

TEST(Hosts, AWrongFileEndsWith3) {
  TempDir folder;
  folder.file("flow.yml", "gnnflow: 1\nname: flow\nhosts: { near: { adress: local } }\n");
  EXPECT_EQ(run_here(folder.path(), {"hosts", "check", "flow.yml"}).code, 3);
  EXPECT_EQ(run_here(folder.path(), {"hosts", "trust", "flow.yml"}).code, 3);
}

TEST(Hosts, WithoutAStateAndAFileSaysWhatToGive) {
  TempDir folder;
  Ran ran = run_here(folder.path(), {"hosts"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_NE(ran.err.find("`gnnflow hosts list FILE`"), std::string::npos) << ran.err;
  ran = run_here(folder.path(), {"gc"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_NE(ran.err.find("`gnnflow gc FILE`"), std::string::npos) << ran.err;
}

TEST(Hosts, TheCommandLineSaysTheActionAndItsHosts) {
  Result<CommandLine> line =
      parse_command_line({"hosts", "trust", "flow.yml", "near", "far", "--yes", "--set", "a=1"});
  ASSERT_TRUE(line) << line.error().message;
  EXPECT_EQ(line->command, "hosts");
  EXPECT_EQ(line->action, "trust");
  EXPECT_EQ(line->file, "flow.yml");
  EXPECT_EQ(line->hosts, (std::vector<std::string>{"near", "far"}));
  EXPECT_TRUE(line->yes);
  EXPECT_FALSE(parse_command_line({"hosts", "check"}));  // which workflow?
  line = parse_command_line({"hosts"});
  ASSERT_TRUE(line) << line.error().message;
  EXPECT_EQ(line->action, "");
}

TEST(Gc, TheCommandLineSaysWhatToKeep) {
  Result<CommandLine> line = parse_command_line({"gc", "flow.yml", "--keep", "3", "--dry-run"});
  ASSERT_TRUE(line) << line.error().message;
  EXPECT_EQ(line->keep, 3);
  EXPECT_TRUE(line->dry_run);
  EXPECT_FALSE(line->all);
  EXPECT_FALSE(parse_command_line({"gc", "--keep", "0"}));
}

TEST(HostFacts, AreReadBehindWhateverALoginShellPrints) {
  Result<HostFacts> facts = parse_facts(
      "Welcome!\ngnnflow-check\nLinux\n6.1.0-13-amd64\nx86_64\n1000\n"
      "/dev/mapper/a b 1000 600 400 60% /home/with space\n",
      990'000);
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_EQ(facts->system, "Linux 6.1.0-13-amd64 x86_64");
  EXPECT_EQ(facts->free_bytes, 400 * 1024);
  EXPECT_NEAR(facts->clock_ahead_s, 10.5, 1e-6);
}

TEST(HostFacts, OfADiskThatDfDoesNotUnderstandAreUnknown) {
  Result<HostFacts> facts = parse_facts("gnnflow-check\nLinux\n6.1\nx86_64\n1000\n\n", 0);
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_EQ(facts->free_bytes, -1);
}

TEST(HostFacts, CutShortOrChangedAreAnErrorAndNoMore) {
  const std::string whole = "gnnflow-check\nLinux\n6.1.0\nx86_64\n1000\n/dev/a 1000 600 400 60% /\n";
  for (size_t size = 0; size < whole.size(); ++size) {
    Result<HostFacts> facts = parse_facts(whole.substr(0, size), 0);
    EXPECT_TRUE(facts || facts.error().cause == Cause::unfit) << facts.error().message;
    std::string flipped = whole;
    flipped[size] ^= 0x10;
    facts = parse_facts(flipped, 0);
    EXPECT_TRUE(facts || facts.error().cause == Cause::unfit) << facts.error().message;
  }
  EXPECT_FALSE(parse_facts("This account is not available.\n", 0));
}

TEST(HostFacts, TheScriptQuotesTheWorkspace) {
  const std::string script = facts_script("/data/it's mine; rm -r $HOME");
  EXPECT_NE(script.find("place='/data/it'\\''s mine; rm -r $HOME'\n"), std::string::npos) << script;
}

Acquaintance met(const std::string& name, const std::string& host, const std::string& blob) {
  Acquaintance one{{name, host}};
  one.met = MetHostKey{host, 22, "host " + name, {"ssh-ed25519", blob}, {}};
  return one;
}

TEST(HostKeys, AreShownPerHostAndRecordedOnce) {
  std::vector<Acquaintance> all = {met("node1", "box", "a"),   met("node2", "box", "a"),
                                   met("node3", "other", "b"), {{"node4", "known"}},
                                   {{"node5", "gone"}},        {{"node6", "new"}}};
  all[4].error = Error{Cause::unreachable, "no route"};
  all[5].error = Error{Cause::unreachable, "its host key has changed"};
  all[5].verdict = KeyVerdict::changed;
  EXPECT_EQ(new_keys(all).size(), 2u);
  const std::string text = keys_text(all);
  EXPECT_NE(text.find("node1  box    ssh-ed25519 SHA256:"), std::string::npos) << text;
  EXPECT_NE(text.find("node4  known  known already\n"), std::string::npos) << text;
  EXPECT_NE(text.find("node5  gone   not reached\n"), std::string::npos) << text;
  EXPECT_NE(text.find("node6  new    refused: its key has changed\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace gnnflow
