// A real graph server under a daemon: its keys, and what of it outlives its death.
#include <algorithm>
#include <csignal>
#include <map>

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "tests/worker/daemon/daemon_client.h"

namespace gnnflow {
namespace {

const std::string kToken = "s1.r1.servers.1." + std::to_string(::getpid());
constexpr const char* kWorker = GNNFLOW_PROGRAMS_FOLDER "/gnnflow-worker";

void run(std::vector<std::string> argv) {
  ChildOptions options;
  options.argv = std::move(argv);
  Result<std::string> output = run_and_read(options, Deadline::after(Milliseconds(60'000)));
  ASSERT_TRUE(output) << output.error().message;
}

// Reports by type, until there is one of each.
std::map<std::string, Json> next_reports(DaemonClient& client, const std::vector<std::string>& types) {
  std::map<std::string, Json> reports;
  auto missing = [&](const std::string& type) { return !reports.contains(type); };
  while (std::any_of(types.begin(), types.end(), missing)) {
    Message event = client.event(kToken, "report");
    if (event.type() == "none") break;
    const Json& report = event.head.get("message");
    reports[report.text_or("type", "")] = report;
  }
  return reports;
}

TEST(DaemonServe, AServerComesBackWithItsKeysItsPortAndItsAllowList) {
  TempDir temp;
  run({kWorker, "generate", temp / "graph", "--preset", "tiny"});
  run({kWorker, "partition", temp / "graph", temp / "parts", "--parts", "2"});
  fs::path root = temp / "h1";
  DaemonUnderTest daemon(root);
  DaemonClient client(root);
  Json start = DaemonClient::head_of("start", kToken);
  start["program"] = "worker";
  start["spec"]["kind"] = "serve";
  start["spec"]["part"] = 1;
  start["spec"]["address"] = "127.0.0.1";
  start["spec"]["inputs"]["partition"] = (temp / "parts").string();
  ASSERT_TRUE(client.order(start).head.boolean_or("ok", false));
  int64_t first = client.event(kToken, "started").head.integer_or("pid", 0);
  Json ready = next_reports(client, {"ready"})["ready"];
  EXPECT_EQ(ready.integer_or("part", -1), 1);
  EXPECT_GT(ready.integer_or("port", 0), 0);

  Json forward = DaemonClient::head_of("forward", kToken);
  forward["message"]["type"] = "allow";
  forward["message"]["keys"] = Json::Array{ready.text_or("public_key", ""), ready.text_or("public_key", "")};
  ASSERT_TRUE(client.order(forward).head.boolean_or("ok", false));
  EXPECT_EQ(next_reports(client, {"allowed"})["allowed"].integer_or("count", -1), 2);

  ::kill(static_cast<pid_t>(first), SIGKILL);
  EXPECT_EQ(client.event(kToken, "restarted").head.integer_or("count", 0), 1);
  auto again = next_reports(client, {"ready", "allowed"});
  EXPECT_EQ(again["ready"], ready);
  EXPECT_EQ(again["allowed"].integer_or("count", -1), 2);
  EXPECT_EQ(processes_with("GNNFLOW_TOKEN", kToken).size(), 1u);

  client.about(kToken, "cancel");
  EXPECT_EQ(client.event(kToken, "exited").head.integer_or("signal", -1), 0);
  // The secret was told over the channel alone.
  Result<std::string> task = read_file(root / "tmp" / kToken / "task.json");
  ASSERT_TRUE(task);
  EXPECT_EQ(task->find("secret"), std::string::npos);
}

TEST(DaemonServe, AServerThatWouldFailAgainIsNotStartedAgain) {
  TempDir temp;
  fs::path root = temp / "h1";
  DaemonUnderTest daemon(root);
  DaemonClient client(root);
  Json start = DaemonClient::head_of("start", kToken);
  start["program"] = "worker";
  start["spec"]["kind"] = "serve";
  start["spec"]["part"] = 0;
  start["spec"]["address"] = "127.0.0.1";
  start["spec"]["inputs"]["partition"] = (temp / "none").string();
  ASSERT_TRUE(client.order(start).head.boolean_or("ok", false));
  Json end = client.event(kToken, "exited").head;
  EXPECT_EQ(end.integer_or("code", -1), 4) << end.dump();
  EXPECT_EQ(end.text_or("cause", ""), "not_found");
  EXPECT_EQ(client.event(kToken, "restarted", Milliseconds(0)).type(), "none");
}

}  // namespace
}  // namespace gnnflow
