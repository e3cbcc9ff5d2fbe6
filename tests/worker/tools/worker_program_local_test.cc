// gnnflow-worker as a program: subcommands by hand, tasks, exit codes.
#include <csignal>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "common/base/child_process.h"
#include "common/base/text.h"
#include "common/graph/partition_dir.h"
#include "tests/support/data_sets.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

struct Ended {
  int code = -1;
  std::string output;  // stdout and stderr
};

Ended worker(const TempDir& dir, std::vector<std::string> words) {
  const fs::path log = dir / "log";
  fs::remove(log);
  words.insert(words.begin(), std::string(GNNFLOW_PROGRAMS_FOLDER) + "/gnnflow-worker");
  ChildOptions options;
  options.argv = std::move(words);
  options.output = log;
  auto child = ChildProcess::start(options);
  EXPECT_TRUE(child) << child.error().message;
  const auto state = child->wait(Deadline::after(Milliseconds(60'000)));
  EXPECT_TRUE(state);
  auto text = read_file(log);
  return {state && state->signal == 0 ? state->code : -1, text ? *text : ""};
}

TEST(WorkerProgram, MakesPartsAndChecksAGraph) {
  TempDir dir;
  const std::string graph = (dir / "g").string(), parts = (dir / "p").string();
  Ended ended = worker(dir, {"generate", graph, "--preset", "tiny", "--seed", "1", "--json"});
  ASSERT_EQ(ended.code, 0) << ended.output;
  EXPECT_EQ(Json::parse(ended.output)->get("nodes").integer_or("node", 0), 2'000);
  ended = worker(dir, {"partition", graph, parts, "--parts", "2", "--method", "metis", "--seed", "7",
                       "--balance", "nodes,edges,train", "--json"});
  ASSERT_EQ(ended.code, 0) << ended.output;
  EXPECT_TRUE(Json::parse(ended.output)->get("report").has("edge_cut"));
  for (const std::string& folder : {graph, parts}) {
    ended = worker(dir, {"verify", folder});
    EXPECT_EQ(ended.code, 0) << ended.output;
    EXPECT_TRUE(ended.output.starts_with("good: ")) << ended.output;
  }
  const Ended one = worker(dir, {"sample", graph, "--seeds", "1,2,3", "--fanout", "5,3", "--seed", "4"});
  const Ended two = worker(dir, {"sample", parts, "--seeds", "1,2,3", "--fanout", "5,3", "--seed", "4"});
  EXPECT_EQ(one.code, 0) << one.output;
  EXPECT_EQ(one.output, two.output);
}

TEST(WorkerProgram, EndsWith13AndLeavesNothingWhenMemoryIsNotEnough) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers need more address space than this test leaves";
#endif
  TempDir dir;
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_AS, &before), 0);
  rlimit little = before;
  little.rlim_cur = rlim_t{1} << 30;
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &little), 0);
  const Ended ended = worker(dir, {"generate", (dir / "g").string(), "--nodes", "500000000"});
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &before), 0);
  EXPECT_EQ(ended.code, 13) << ended.output;
  EXPECT_NE(ended.output.find("not enough memory"), std::string::npos) << ended.output;
  for (const fs::directory_entry& entry : fs::directory_iterator(dir.path())) {
    EXPECT_EQ(entry.path().filename(), "log");
  }
}

TEST(WorkerProgram, ImportsByHand) {
  TempDir dir;
  const Ended ended = worker(dir, {"import", cora_folder().string(), (dir / "g").string(), "--undirected",
                                   "--row-normalize", "--self-loops", "drop"});
  ASSERT_EQ(ended.code, 0) << ended.output;
  EXPECT_NE(ended.output.find("10,556 edges of 'node.edge.node'"), std::string::npos) << ended.output;
  EXPECT_TRUE(GraphDir::open(dir / "g")->node().feature_values.present());
  EXPECT_EQ(worker(dir, {"import", cora_folder().string(), (dir / "d").string(), "--directed"}).code, 0);
  EXPECT_EQ(GraphDir::open(dir / "d")->relation().indices.rows(), 5'278);
}

TEST(WorkerProgram, EndsWith12AndThePlaceWhenDataIsDamaged) {
  TempDir dir;
  ASSERT_EQ(worker(dir, {"generate", (dir / "g").string()}).code, 0);
  const fs::path file = dir / "g/edges/node.edge.node/indices.npy";
  fs::resize_file(file, fs::file_size(file) - 3);
  const Ended ended = worker(dir, {"verify", (dir / "g").string()});
  EXPECT_EQ(ended.code, 12);
  EXPECT_NE(ended.output.find("indices.npy: holds "), std::string::npos) << ended.output;
}

TEST(WorkerProgram, EndsWith2OnWrongUse) {
  TempDir dir;
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{},
        {"frobnicate"},
        {"generate"},
        {"generate", (dir / "g").string(), "--preset", "huge"},
        {"partition", (dir / "g").string()},
        {"info"},
        {"sample", (dir / "g").string(), "--seeds", "x", "--fanout", "3"}}) {
    const Ended ended = worker(dir, words);
    EXPECT_EQ(ended.code, 2) << ended.output;
    EXPECT_NE(ended.output, "");
  }
  EXPECT_EQ(worker(dir, {"generate", (dir / "g").string()}).code, 0);
  const Ended taken = worker(dir, {"generate", (dir / "g").string()});
  EXPECT_EQ(taken.code, 2);
  EXPECT_NE(taken.output.find("exists already"), std::string::npos) << taken.output;
  EXPECT_EQ(worker(dir, {"--help"}).code, 0);
}

fs::path write_task(const TempDir& dir, const std::string& kind, Json options, Json inputs) {
  const fs::path folder = dir / ("tmp-" + kind);
  Json task = Json::Object{{"token", "s.1." + kind + ".1.0"}, {"kind", kind},
                           {"folder", folder.string()},       {"threads", 2},
                           {"options", std::move(options)},   {"inputs", std::move(inputs)}};
  return dir.file("tmp-" + kind + "/task.json", task.dump());
}

TEST(WorkerProgram, RunsTasksIntoTheirOutFolder) {
  TempDir dir;
  const auto run = [&](const std::string& kind, Json options, Json inputs) {
    const fs::path task = write_task(dir, kind, std::move(options), std::move(inputs));
    const Ended ended = worker(dir, {kind, "--task", task.string()});
    EXPECT_EQ(ended.code, 0) << kind << ": " << ended.output;
    return task.parent_path() / "out";
  };
  const fs::path made =
      run("generate", Json::Object{{"preset", "tiny"}, {"seed", 1}, {"host", "controller"}}, Json::Object{});
  EXPECT_TRUE(GraphDir::open(made / "graph"));
  const fs::path imported =
      run("import", Json::Object{{"source", "data/cora"}, {"undirected", true}, {"format", "npy"}},
          Json::Object{{"source", cora_folder().string()}});
  EXPECT_EQ(GraphDir::open(imported / "graph")->node().count, 2'708);
  const fs::path parted =
      run("partition", Json::Object{{"graph", "graph"}, {"parts", 2}, {"balance", Json::Array{"nodes"}}},
          Json::Object{{"graph", (made / "graph").string()}});
  EXPECT_TRUE(PartitionDir::open(parted / "partition"));
}

TEST(WorkerProgram, EndsATaskWithTheCodeOfItsCause) {
  TempDir dir;
  fs::path task = write_task(dir, "generate", Json::Object{{"preset", "huge"}}, Json::Object{});
  Ended ended = worker(dir, {"generate", "--task", task.string()});
  EXPECT_EQ(ended.code, 3) << ended.output;
  EXPECT_NE(ended.output.find("no preset 'huge'"), std::string::npos) << ended.output;
  task = write_task(dir, "partition", Json::Object{{"parts", 2}},
                    Json::Object{{"graph", (dir / "none").string()}});
  ended = worker(dir, {"partition", "--task", task.string()});
  EXPECT_EQ(ended.code, 4) << ended.output;
  ended = worker(dir, {"import", "--task", task.string()});
  EXPECT_EQ(ended.code, 2) << ended.output;
  EXPECT_NE(ended.output.find("the task is of kind 'partition', not 'import'"), std::string::npos)
      << ended.output;
  ended = worker(dir, {"import", "--task", (dir / "no.json").string()});
  EXPECT_EQ(ended.code, 4) << ended.output;
}

// Until it has begun to write, then the signal; its exit code.
int stopped(const TempDir& dir, std::vector<std::string> words, int signal) {
  words.insert(words.begin(), std::string(GNNFLOW_PROGRAMS_FOLDER) + "/gnnflow-worker");
  ChildOptions options;
  options.argv = std::move(words);
  auto child = ChildProcess::start(options);
  EXPECT_TRUE(child) << child.error().message;
  const Deadline deadline = Deadline::after(Milliseconds(20'000));
  while (fs::is_empty(dir.path()) && !deadline.passed()) child->wait(Deadline::after(Milliseconds(1)));
  child->signal(signal);
  const auto state = child->wait(Deadline::after(Milliseconds(60'000)));
  EXPECT_TRUE(state);
  return state && state->signal == 0 ? state->code : -1;
}

TEST(WorkerProgram, StoppedBySignalsEndsWithTheirCodeAndLeavesNothing) {
  TempDir dir, source;
  auto before = ::signal(SIGHUP, SIG_DFL);  // the tests themselves may run under nohup
  for (const auto& [signal, code] : {std::pair(SIGINT, 130), {SIGTERM, 143}, {SIGHUP, 129}}) {
    EXPECT_EQ(stopped(dir, {"generate", (dir / "g").string(), "--preset", "products-small"}, signal), code);
    EXPECT_TRUE(fs::is_empty(dir.path())) << fs::directory_iterator(dir.path())->path();
  }
  ::signal(SIGHUP, before);
  ASSERT_EQ(worker(source, {"generate", (source / "g").string(), "--nodes", "60000"}).code, 0);
  EXPECT_EQ(stopped(dir, {"partition", (source / "g").string(), (dir / "p").string()}, SIGINT), 130);
  EXPECT_TRUE(fs::is_empty(dir.path())) << fs::directory_iterator(dir.path())->path();
}

TEST(WorkerProgram, AHangUpThatIsIgnoredEndsNothing) {
  TempDir dir;
  auto before = ::signal(SIGHUP, SIG_IGN);
  EXPECT_EQ(stopped(dir, {"generate", (dir / "g").string(), "--preset", "products-small", "--nodes", "30000"},
                    SIGHUP),
            0);
  ::signal(SIGHUP, before);
  EXPECT_TRUE(GraphDir::open(dir / "g"));
}

TEST(WorkerProgram, AFolderWithASlashBehindItIsTheSameFolder) {
  TempDir dir;
  ASSERT_EQ(worker(dir, {"generate", (dir / "g").string() + "/"}).code, 0);
  EXPECT_TRUE(GraphDir::open(dir / "g"));
}

TEST(WorkerProgram, HelpListsWhatPeopleUseAndSaysWhatOptionsMean) {
  TempDir dir;
  const Ended help = worker(dir, {"--help"});
  EXPECT_EQ(help.code, 0);
  for (const char* shown : {"generate", "import", "partition", "info", "verify", "list", "sample"}) {
    EXPECT_NE(help.output.find(std::string("  ") + shown), std::string::npos) << shown;
  }
  for (const char* hidden : {"daemon", "job", "relay", "serve"}) {
    EXPECT_EQ(help.output.find(std::string("  ") + hidden), std::string::npos) << help.output;
    EXPECT_EQ(worker(dir, {hidden, "--help"}).code, 0);
  }
  const std::string options = worker(dir, {"generate", "--help"}).output;
  EXPECT_NE(options.find("Share of partners that are drawn from a node's own class"), std::string::npos)
      << options;
  for (const std::string& line : split(options, '\n')) {
    if (!line.starts_with("  --")) continue;
    EXPECT_GT(line.size(), 36u) << line;  // the text stands in column 31
  }
}

TEST(WorkerProgram, ASeedThatIsGivenTwiceIsWrongUse) {
  TempDir dir;
  ASSERT_EQ(worker(dir, {"generate", (dir / "g").string()}).code, 0);
  const Ended ended = worker(dir, {"sample", (dir / "g").string(), "--seeds", "4,7,4", "--fanout", "3"});
  EXPECT_EQ(ended.code, 2);
  EXPECT_EQ(ended.output, "gnnflow-worker: seed 4 is given twice: a batch has each node once\n");
}

TEST(WorkerProgram, LeavesNothingThatLooksFinishedWhenKilled) {
  TempDir dir;
  ChildOptions options;
  options.argv = {std::string(GNNFLOW_PROGRAMS_FOLDER) + "/gnnflow-worker", "generate", (dir / "g").string(),
                  "--preset", "products-small"};
  auto child = ChildProcess::start(options);
  ASSERT_TRUE(child);
  // Killed as soon as it has begun to write: long before products-small is whole.
  const Deadline deadline = Deadline::after(Milliseconds(20'000));
  while (fs::is_empty(dir.path()) && !deadline.passed()) child->wait(Deadline::after(Milliseconds(1)));
  child->signal(9);
  const auto state = child->wait(Deadline::after(Milliseconds(20'000)));
  ASSERT_TRUE(state);
  EXPECT_EQ(state->signal, 9);
  EXPECT_FALSE(fs::exists(dir / "g"));
  EXPECT_EQ(worker(dir, {"generate", (dir / "g").string()}).code, 0);
}

}  // namespace
}  // namespace gnnflow
