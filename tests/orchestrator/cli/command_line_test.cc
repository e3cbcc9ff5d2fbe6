// Command lines: what is understood, what is refused with which words.
#include "orchestrator/cli/command_line.h"

#include <gtest/gtest.h>

#include "tests/orchestrator/cli/recorded_console.h"

namespace gnnflow {
namespace {

CommandLine parsed(const std::vector<std::string>& arguments) {
  Result<CommandLine> line = parse_command_line(arguments);
  EXPECT_TRUE(line) << line.error().message;
  return line ? *line : CommandLine{};
}

TEST(CommandLine, ReadsRunWithItsOptionsInAnyOrder) {
  CommandLine line = parsed({"run", "--set", "epochs=3", "flow.yml", "--json", "--set", "lr=0.1", "--state",
                             "s", "--color", "never"});
  EXPECT_EQ(line.command, "run");
  EXPECT_EQ(line.file, "flow.yml");
  EXPECT_EQ(line.set, (std::vector<std::string>{"epochs=3", "lr=0.1"}));
  EXPECT_TRUE(line.json);
  EXPECT_EQ(line.state, "s");
  EXPECT_EQ(line.colour, ColourMode::never);
}

TEST(CommandLine, ReadsLogsWithAndWithoutAFile) {
  CommandLine line = parsed({"logs", "flow.yml", "model", "--task", "1"});
  EXPECT_EQ(line.file, "flow.yml");
  EXPECT_EQ(line.step, "model");
  EXPECT_EQ(line.task, 1);
  line = parsed({"logs", "model", "--run", "7"});
  EXPECT_TRUE(line.file.empty());
  EXPECT_EQ(line.step, "model");
  EXPECT_EQ(line.task, -1);
  EXPECT_EQ(line.run, 7);
}

TEST(CommandLine, HandsOverWhatFollowsGraphAndPartitionUntouched) {
  CommandLine line = parsed({"graph", "generate", "g", "--preset", "tiny", "--help"});
  EXPECT_EQ(line.command, "graph");
  EXPECT_EQ(line.rest, (std::vector<std::string>{"generate", "g", "--preset", "tiny", "--help"}));
  line = parsed({"partition", "--version"});
  EXPECT_EQ(line.rest, std::vector<std::string>{"--version"});
}

TEST(CommandLine, HelpNamesEveryCommandAndItsOptions) {
  CommandLine help = parsed({"--help"});
  EXPECT_EQ(help.command, "help");
  for (const char* word : {"run", "plan", "status", "logs", "graph", "partition", "--version"}) {
    EXPECT_NE(help.text.find(word), std::string::npos) << word;
  }
  EXPECT_NE(parsed({"status", "--help"}).text.find("--exit-code"), std::string::npos);
}

struct Wrong {
  std::vector<std::string> arguments;
  std::string message;
};
void PrintTo(const Wrong& wrong, std::ostream* out) { *out << wrong.message; }
class WrongUse : public testing::TestWithParam<Wrong> {};

TEST_P(WrongUse, EndsWith2AndSaysWhy) {
  Ran ran = run_here("/", GetParam().arguments);
  EXPECT_EQ(ran.code, 2);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "gnnflow: " + GetParam().message + "\n");
}

INSTANTIATE_TEST_SUITE_P(
    All, WrongUse,
    testing::Values(
        Wrong{{}, "which command? See `gnnflow --help`"},
        Wrong{{"frobnicate"},
              "unknown command 'frobnicate'; there are run, plan, status, logs, graph, partition"},
        Wrong{{"statsu"}, "unknown command 'statsu'; did you mean 'status'?"},
        Wrong{{"run"}, "FILE is required; see `gnnflow run --help`"},
        Wrong{{"run", "a.yml", "b.yml"},
              "The following argument was not expected: b.yml; see `gnnflow run --help`"},
        Wrong{{"run", "a.yml", "--sett", "x=1"},
              "The following arguments were not expected: x=1 --sett; see `gnnflow run --help`"},
        Wrong{{"run", "a.yml", "--color", "blue"},
              "--color: blue not in {auto,always,never}; see `gnnflow run --help`"},
        Wrong{{"status", "--run", "0"}, "--run: '0' is no number from 1 on; see `gnnflow status --help`"},
        Wrong{{"logs"}, "STEP is required; see `gnnflow logs --help`"},
        Wrong{{"graph"}, "graph what?: write one of import, generate, info, verify, sample, list"},
        Wrong{{"graph", "paint"}, "graph paint: write one of import, generate, info, verify, sample, list"}));

TEST(Version, NamesVersionCommitCompilerAndLibraries) {
  Ran ran = run_here("/", {"--version"});
  EXPECT_EQ(ran.code, 0);
  for (const char* word : {"gnnflow 0.", "commit ", "compiler ", "libraries yaml-cpp 0.", "SQLite 3."}) {
    EXPECT_NE(ran.out.find(word), std::string::npos) << ran.out;
  }
}

}  // namespace
}  // namespace gnnflow
