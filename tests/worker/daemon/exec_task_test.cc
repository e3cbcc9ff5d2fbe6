// What an exec task is told, its inputs and its outputs.
#include "worker/daemon/exec_task.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

std::string error_of(std::string_view json) {
  Result<ExecSpec> spec = ExecSpec::read(*Json::parse(json));
  return spec ? "" : spec.error().message;
}

TEST(ExecSpec, NamesWhatIsWrong) {
  EXPECT_EQ(error_of(R"({"command":["sh"]})"), "");
  EXPECT_EQ(error_of("{}"), "task.json: 'command' is no list of a program and its arguments");
  EXPECT_EQ(error_of(R"({"command":[]})"), "task.json: 'command' is no list of a program and its arguments");
  EXPECT_EQ(error_of(R"({"command":["sh"],"stage":[{"from":"/a","to":"../b"}]})"),
            "task.json: stage: '../b' is not inside files/");
  EXPECT_EQ(error_of(R"({"command":["sh"],"stage":[{"from":"a","to":"b"}]})"),
            "task.json: stage: 'a' is not absolute");
  EXPECT_EQ(error_of(R"({"command":["sh"],"outputs":{"card":"/etc/x"}})"),
            "task.json: outputs: 'card' is no name with a path inside files/");
  EXPECT_EQ(error_of(R"({"command":["sh"],"environment":{"A=B":"c"}})"),
            "task.json: environment: 'A=B' is no variable with a text");
}

struct ExecFiles : testing::Test {
  TempDir temp;
  ExecSpec spec;
  fs::path files = temp / "files", out = temp / "out";
  StopSignal stop;
  Status stage() { return stage_files(spec, files, stop); }
  std::string refusal() {
    const Status found = collect_outputs(spec, files, out, "sh");
    EXPECT_FALSE(found);
    return found ? "" : found.error().message;
  }
};

TEST_F(ExecFiles, InputsStandUnderTheirNames) {
  temp.file("source/script.py", "print()");
  temp.file("source/data/x", "1");
  spec.stages = {{temp / "source/script.py", "scripts/script.py"}, {temp / "source/data", "data"}};
  ASSERT_TRUE(stage());
  EXPECT_EQ(*read_file(files / "scripts/script.py"), "print()");
  EXPECT_EQ(*read_file(files / "data/x"), "1");
  ASSERT_TRUE(stage());
}

TEST_F(ExecFiles, InputsKeepTheirModesAndLinksBecomeWhatTheyLeadTo) {
  temp.file("source/data/deep/run.sh", "#!/bin/sh");
  fs::permissions(temp / "source/data/deep/run.sh", fs::perms::owner_all);
  fs::create_symlink(temp / "source/data/deep", temp / "source/data/link");
  spec.stages = {{temp / "source/data", "data"}};
  ASSERT_TRUE(stage());
  EXPECT_EQ(fs::status(files / "data/deep/run.sh").permissions(), fs::perms::owner_all);
  EXPECT_FALSE(fs::is_symlink(files / "data/link"));
  EXPECT_EQ(*read_file(files / "data/link/run.sh"), "#!/bin/sh");
}

TEST_F(ExecFiles, AStopEndsTheCopying) {
  temp.file("source/x", "1");
  spec.stages = {{temp / "source", "data"}};
  stop.raise(Cause::terminated);
  const Status staged = stage();
  ASSERT_FALSE(staged);
  EXPECT_EQ(staged.error().cause, Cause::terminated);
  EXPECT_FALSE(fs::exists(files / "data"));
}

TEST_F(ExecFiles, AMissingInputIsNamed) {
  spec.stages = {{temp / "none", "none"}};
  Status staged = stage();
  ASSERT_FALSE(staged);
  EXPECT_EQ(staged.error().cause, Cause::not_found);
  EXPECT_NE(staged.error().message.find("input 'none': copying"), std::string::npos);
}

TEST_F(ExecFiles, OutputsKeepTheLastPartOfTheirPath) {
  temp.file("files/a/card.md", "card");
  temp.file("files/site/index.html", "html");
  spec.outputs = {{"card", "a/card.md"}, {"pages", "site"}};
  ASSERT_TRUE(collect_outputs(spec, files, out, "sh"));
  EXPECT_EQ(*read_file(out / "card/card.md"), "card");
  EXPECT_EQ(*read_file(out / "pages/site/index.html"), "html");
}

TEST_F(ExecFiles, AnOutputThatIsNeitherFileNorFolderIsRefused) {
  ASSERT_TRUE(create_folders(files));
  ASSERT_EQ(::mkfifo((files / "card").c_str(), 0600), 0);
  spec.outputs = {{"card", "card"}};
  EXPECT_EQ(refusal(), "output 'card': card is neither a file nor a folder");
}

// What lies there is somebody's.
TEST_F(ExecFiles, AnOutputBehindALinkStaysWhereItIs) {
  temp.file("outside/x", "theirs");
  ASSERT_TRUE(create_folders(files));
  fs::create_directory_symlink(temp / "outside", files / "d");
  fs::create_symlink(temp / "outside/x", files / "x");
  const std::string how = " is a link; below " + temp.path().string() + " none is followed";
  spec.outputs = {{"o", "d/x"}};
  EXPECT_EQ(refusal(), "output 'o': " + (files / "d").string() + how);
  spec.outputs = {{"o", "x"}};
  EXPECT_EQ(refusal(), "output 'o': " + (files / "x").string() + how);
  fs::remove_all(files);
  fs::create_directory_symlink(temp / "outside", files);
  EXPECT_EQ(refusal(), "output 'o': " + files.string() + how);
  EXPECT_EQ(read_file(temp / "outside/x").value_or("gone"), "theirs");
}

}  // namespace
}  // namespace gnnflow
