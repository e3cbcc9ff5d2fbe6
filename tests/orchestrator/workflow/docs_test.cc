// docs/workflow.md against the schemas: every key with its default, every output, every kind.
#include <gtest/gtest.h>

#include "common/base/file.h"
#include "common/base/text.h"
#include "orchestrator/steps/step_kinds.h"
#include "orchestrator/workflow/file_schema.h"
#include "orchestrator/workflow/workflow.h"

namespace gnnflow {
namespace {

const fs::path kSource = GNNFLOW_SOURCE_FOLDER;

std::string document() {
  Result<std::string> text = read_file(kSource / "docs/workflow.md");
  EXPECT_TRUE(text);
  return text ? *text : "";
}

// From its heading to the next of the same or a higher level.
std::string section(const std::string& text, const std::string& heading) {
  size_t begin = text.find("\n" + heading + "\n");
  EXPECT_NE(begin, std::string::npos) << "no section " << heading;
  if (begin == std::string::npos) return "";
  size_t end = text.find("\n##", begin + heading.size() + 2);
  return text.substr(begin, end == std::string::npos ? end : end - begin);
}

std::string row_of(const std::string& section, const std::string& key) {
  size_t begin = section.find("\n| `" + key + "` |");
  if (begin == std::string::npos) return "";
  return section.substr(begin + 1, section.find('\n', begin + 1) - begin - 1);
}

std::string default_text(const OptionSchema& option) {
  if (option.required) return "**needed**";
  if (option.type == OptionType::duration) {
    int64_t length = option.otherwise.integer();
    return length % 60'000 == 0 ? std::to_string(length / 60'000) + "m" : std::to_string(length / 1000) + "s";
  }
  if (option.type == OptionType::bytes) return std::to_string(option.otherwise.integer() >> 30) + "GiB";
  if (option.otherwise.is_string()) return option.otherwise.string();
  if (!option.otherwise.is_array()) return option.otherwise.dump();
  std::vector<std::string> words;
  for (const Json& word : option.otherwise.array()) words.push_back(word.string());
  return words.empty() ? "none" : "[" + join(words, ", ") + "]";
}

void expect_rows(const std::string& text, const std::vector<OptionSchema>& options,
                 const std::string& prefix) {
  for (const OptionSchema& option : options) {
    std::string row = row_of(text, prefix + option.key);
    EXPECT_FALSE(row.empty()) << "no row for '" << prefix << option.key << "'";
    EXPECT_NE(row.find(option.help), std::string::npos) << row << "\nmust say: " << option.help;
    if (option.required || !(option.otherwise.is_null() || option.otherwise.is_object())) {
      EXPECT_NE(row.find(default_text(option)), std::string::npos)
          << row << "\nmust have the default " << default_text(option);
    }
    for (const std::string& choice : option.choices)
      EXPECT_NE(row.find("`" + choice + "`"), std::string::npos) << row;
    expect_rows(text, option.members, prefix + option.key + ".");
  }
}

TEST(WorkflowDocument, HasEveryKeyOfTheFileWithItsDefault) {
  std::string text = document();
  expect_rows(section(text, "## The top of the file"), top_schema(), "");
  expect_rows(section(text, "### Hosts"), host_schema(), "");
  expect_rows(section(text, "### Defaults"), defaults_schema(), "");
  expect_rows(section(text, "## Steps"), step_schema(), "");
}

TEST(WorkflowDocument, HasEveryOptionAndOutputOfEveryKind) {
  std::string text = document();
  for (const KindSchema& kind : kind_schemas()) {
    std::string part = section(text, "### " + kind.kind);
    expect_rows(part, kind.options, "");
    for (const OutputSchema& output : kind.outputs) {
      EXPECT_NE(part.find("\n| `" + output.name + "`"), std::string::npos)
          << kind.kind << ": " << output.name;
    }
  }
}

TEST(ShippedWorkflows, Load) {
  int count = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(kSource / "workflows")) {
    Result<Workflow> workflow = load_workflow(entry.path(), {{}, kind_schemas()});
    EXPECT_TRUE(workflow) << workflow.error().message;
    ++count;
  }
  EXPECT_GT(count, 0);
}

}  // namespace
}  // namespace gnnflow
