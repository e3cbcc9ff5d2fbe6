// Command lines: what is understood, what is refused with which words.
#include "orchestrator/cli/command_line.h"

#include <gtest/gtest.h>

#include "common/base/text.h"
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
  for (const char* file : {"flow.yml", "flow.yaml", "./flow"}) {
    line = parsed({"logs", file});
    EXPECT_EQ(line.file, file) << "no step has such a name";
    EXPECT_EQ(line.step, "");
  }
  line = parsed({"logs", "flow", "flow"});
  EXPECT_EQ(line.file, "flow");
  EXPECT_EQ(line.step, "flow");
  line = parsed({"logs"});
  EXPECT_TRUE(line.file.empty());
  EXPECT_EQ(line.step, "");
}

TEST(CommandLine, TellsFileRunAndStepsOfRetryApart) {
  CommandLine line = parsed({"retry"});
  EXPECT_TRUE(line.file.empty());
  EXPECT_EQ(line.run, 0);
  EXPECT_TRUE(line.steps.empty());
  line = parsed({"retry", "flow.yml", "7", "model", "score", "--set", "epochs=3", "--detach"});
  EXPECT_EQ(line.file, "flow.yml");
  EXPECT_EQ(line.run, 7);
  EXPECT_EQ(line.steps, (std::vector<std::string>{"model", "score"}));
  EXPECT_EQ(line.set, std::vector<std::string>{"epochs=3"});
  EXPECT_TRUE(line.detach);
  line = parsed({"retry", "model"});
  EXPECT_TRUE(line.file.empty());
  EXPECT_EQ(line.steps, std::vector<std::string>{"model"});
  line = parsed({"retry", "./flow", "7"});
  EXPECT_EQ(line.file, "./flow");
  EXPECT_EQ(line.run, 7);
  line = parsed({"retry", "7", "8"});
  EXPECT_EQ(line.steps, std::vector<std::string>{"8"}) << "the second number is a step's name";
}

TEST(CommandLine, ReadsStopWithFileAndRunOrWithout) {
  CommandLine line = parsed({"stop", "flow.yml", "--state", "s"});
  EXPECT_EQ(line.file, "flow.yml");
  EXPECT_EQ(line.state, "s");
  EXPECT_EQ(line.run, 0);
  line = parsed({"stop", "3"});
  EXPECT_TRUE(line.file.empty());
  EXPECT_EQ(line.run, 3);
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
  for (const char* word :
       {"run", "plan", "status", "logs", "retry", "stop", "hosts", "gc", "graph", "partition", "--version"}) {
    EXPECT_NE(help.text.find(word), std::string::npos) << word;
  }
}

struct Help {
  std::vector<std::string> words;
  std::vector<std::string> names;
};
void PrintTo(const Help& help, std::ostream* out) { *out << help.words[0]; }
class HelpOf : public testing::TestWithParam<Help> {};

TEST_P(HelpOf, SaysItsOwnNameAndAllItsOptions) {
  std::vector<std::string> words = GetParam().words;
  const std::string usage = "Usage: gnnflow " + join(words, " ");
  words.push_back("--help");
  Ran ran = run_here("/", words);
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find(usage), std::string::npos) << ran.out;
  for (const std::string& name : GetParam().names) {
    EXPECT_NE(ran.out.find(name), std::string::npos) << name << " in\n" << ran.out;
  }
}

INSTANTIATE_TEST_SUITE_P(
    EachCommand, HelpOf,
    testing::Values(Help{{"run"}, {"FILE", "--set", "--state", "--json", "--detach", "--color"}},
                    Help{{"plan"}, {"FILE", "--set", "--state", "--json"}},
                    Help{{"status"}, {"FILE", "--state", "--run", "--json", "--watch", "--exit-code"}},
                    Help{{"logs"}, {"FILE", "STEP", "--task", "--follow", "--run", "--state"}},
                    Help{{"retry"}, {"FILE", "RUN", "STEP", "--set", "--state", "--json", "--detach"}},
                    Help{{"stop"}, {"FILE", "RUN", "--state"}}, Help{{"hosts"}, {"check", "trust"}},
                    Help{{"gc"}, {"--dry-run"}},
                    Help{{"graph"}, {"import", "generate", "info", "verify", "sample", "list"}}));

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
        Wrong{
            {"frobnicate"},
            "unknown command 'frobnicate'; there are run, plan, status, logs, retry, stop, hosts, gc, graph, "
            "partition"},
        Wrong{{"statsu"}, "unknown command 'statsu'; did you mean 'status'?"},
        Wrong{{"run"}, "FILE is required; see `gnnflow run --help`"},
        Wrong{{"run", "a.yml", "b.yml"}, "unexpected argument 'b.yml'; see `gnnflow run --help`"},
        Wrong{{"run", "a.yml", "--state"}, "--state needs a value; see `gnnflow run --help`"},
        Wrong{{"run", "a.yml", "--sett", "x=1"},
              "unknown option '--sett'; did you mean '--set'?; see `gnnflow run --help`"},
        Wrong{{"status", "--exitcode"},
              "unknown option '--exitcode'; did you mean '--exit-code'?; see `gnnflow status --help`"},
        Wrong{{"stop", "--frobnicate=3"}, "unknown option '--frobnicate'; see `gnnflow stop --help`"},
        Wrong{{"hosts", "check", "a.yml", "--jsn"},
              "unknown option '--jsn'; did you mean '--json'?; see `gnnflow hosts check --help`"},
        Wrong{{"run", "a.yml", "--detach", "--json"}, "--json excludes --detach; see `gnnflow run --help`"},
        Wrong{{"status", "--watch", "--json"}, "--json excludes --watch; see `gnnflow status --help`"},
        Wrong{{"retry", "0"}, "RUN is a number from 1 on, not 0; see `gnnflow retry --help`"},
        Wrong{{"stop", "flow"},
              "RUN is a number, not 'flow'; a workflow file without '.' in its name is written ./flow; see "
              "`gnnflow stop --help`"},
        Wrong{{"stop", "3", "4"}, "RUN is a number, not '4'; see `gnnflow stop --help`"},
        Wrong{{"run", "a.yml", "--color", "blue"},
              "--color: 'blue' is none of auto, always, never; see `gnnflow run --help`"},
        Wrong{{"status", "--run", "0"}, "--run: '0' is no number from 1 on; see `gnnflow status --help`"},
        Wrong{{"logs", "a.yml", "-f"},
              "STEP is required with --follow and --task; see `gnnflow logs --help`"},
        Wrong{{"logs", "--task", "1"},
              "STEP is required with --follow and --task; see `gnnflow logs --help`"},
        Wrong{{"graph"}, "graph what? Write one of import, generate, info, verify, sample, list"},
        Wrong{{"graph", "improt"}, "unknown command 'graph improt'; did you mean 'import'?"},
        Wrong{{"graph", "paint"},
              "unknown command 'graph paint'; write one of import, generate, info, verify, sample, list"}));

TEST(Version, NamesVersionCommitCompilerAndLibraries) {
  Ran ran = run_here("/", {"--version"});
  EXPECT_EQ(ran.code, 0);
  for (const char* word : {"gnnflow 0.", "commit ", "compiler ", "libraries yaml-cpp 0.", "SQLite 3."}) {
    EXPECT_NE(ran.out.find(word), std::string::npos) << ran.out;
  }
}

}  // namespace
}  // namespace gnnflow
