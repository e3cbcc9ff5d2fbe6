// What an exec task is told, its inputs and its outputs.
#include "worker/daemon/exec_task.h"

#include <gtest/gtest.h>

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
};

TEST_F(ExecFiles, InputsStandUnderTheirNames) {
  temp.file("source/script.py", "print()");
  temp.file("source/data/x", "1");
  spec.stages = {{temp / "source/script.py", "scripts/script.py"}, {temp / "source/data", "data"}};
  ASSERT_TRUE(stage_files(spec, files));
  EXPECT_EQ(*read_file(files / "scripts/script.py"), "print()");
  EXPECT_EQ(*read_file(files / "data/x"), "1");
  ASSERT_TRUE(stage_files(spec, files));
}

TEST_F(ExecFiles, AMissingInputIsNamed) {
  spec.stages = {{temp / "none", "none"}};
  Status staged = stage_files(spec, files);
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

TEST_F(ExecFiles, AnOutputThatIsALinkIsRefused) {
  ASSERT_TRUE(create_folders(files));
  fs::create_symlink("/etc/passwd", files / "card");
  spec.outputs = {{"card", "card"}};
  Status found = collect_outputs(spec, files, out, "sh");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().message, "output 'card': card is neither a file nor a folder");
}

}  // namespace
}  // namespace gnnflow
