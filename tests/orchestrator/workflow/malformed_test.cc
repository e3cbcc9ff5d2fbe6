// Malformed workflow files and the exact text that each gives: malformed.txt beside this file. After a wanted
// change, GNNFLOW_WRITE_GOLDEN=1 writes the texts anew; read the difference before keeping it.
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/base/text.h"
#include "orchestrator/steps/step_kinds.h"
#include "orchestrator/workflow/workflow.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

// === name
// the file
// --- what is told
struct Malformed {
  std::string name, file, told;
};

const fs::path kTable = fs::path(GNNFLOW_SOURCE_FOLDER) / "tests/orchestrator/workflow/malformed.txt";

std::vector<Malformed> read_table() {
  Result<std::string> text = read_file(kTable);
  if (!text) bug(text.error().message);
  std::vector<Malformed> table;
  bool in_file = true;
  for (const std::string& line : split(*text, '\n')) {
    if (line.starts_with("=== ")) {
      table.push_back({line.substr(4), "", ""});
      in_file = true;
    } else if (line == "---------- gives") {
      in_file = false;
    } else if (!table.empty()) {
      (in_file ? table.back().file : table.back().told) += line + "\n";
    }
  }
  for (Malformed& row : table) {
    while (row.told.ends_with('\n')) row.told.pop_back();
  }
  return table;
}

std::string told_by_loader(const Malformed& row, const TempDir& folder) {
  Result<Workflow> workflow = load_workflow(folder.file("flow.yml", row.file), {{}, kind_schemas()});
  if (workflow) return "nothing";
  EXPECT_EQ(workflow.error().cause, Cause::bad_workflow) << row.name;
  std::string told = workflow.error().message, prefix = folder.path().string() + "/";
  for (size_t at; (at = told.find(prefix)) != std::string::npos;) told.erase(at, prefix.size());
  return told;
}

TEST(MalformedFiles, GiveExactlyTheTextOfTheTable) {
  ::unsetenv("GNNFLOW_NOT_SET");
  TempDir folder;
  std::vector<Malformed> table = read_table();
  EXPECT_GE(table.size(), 60u);
  bool writing = std::getenv("GNNFLOW_WRITE_GOLDEN") != nullptr;
  std::string written;
  std::set<std::string> names;
  for (const Malformed& row : table) {
    EXPECT_TRUE(names.insert(row.name).second) << "two rows '" << row.name << "'";
    std::string told = told_by_loader(row, folder);
    EXPECT_NE(told, "nothing") << row.name;
    if (!writing) {
      EXPECT_EQ(told, row.told) << row.name;
    }
    written += "=== " + row.name + "\n" + row.file + "---------- gives\n" + told + "\n\n";
  }
  if (writing) {
    written.pop_back();
    Status status = write_file_atomically(kTable, written);
    EXPECT_TRUE(status);
  }
}

TEST(MalformedFiles, AFileTooLargeOrNotTextIsRefusedWhole) {
  TempDir folder;
  Malformed row{"large", "name: x\n" + std::string(1 << 20, '#'), ""};
  EXPECT_EQ(told_by_loader(row, folder), "flow.yml: larger than 1 MiB: this is no workflow");
  row.file = "name: \xC0\xAF\n";
  EXPECT_EQ(told_by_loader(row, folder), "flow.yml: not UTF-8 text");
  row.file = std::string("name: a\0b\n", 10);
  EXPECT_EQ(told_by_loader(row, folder), "flow.yml: holds the control character 0x00");
}

TEST(MalformedFiles, ABombOfNestedListsIsRefusedQuickly) {
  TempDir folder;
  Malformed row{"bomb", "gnnflow: " + std::string(200'000, '['), ""};
  EXPECT_NE(told_by_loader(row, folder).find("nested deeper than 32 levels"), std::string::npos);
}

}  // namespace
}  // namespace gnnflow
