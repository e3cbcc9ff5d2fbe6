// The journal remembers what it said it would, whatever a crash tore off.
#include "worker/daemon/journal.h"

#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

JobRecord record(const std::string& token, JobState state) {
  JobRecord job;
  job.token = token;
  job.program = "exec";
  job.kind = "exec";
  job.state = state;
  job.code = 3;
  job.message = "sh ended with exit code 3";
  return job;
}

void append(const fs::path& path, std::string_view text) { std::ofstream(path, std::ios::app) << text; }

struct JournalTest : testing::Test {
  TempDir temp;
  fs::path path = temp / "journal";

  void write_example() {
    Result<Journal> journal = Journal::open(path);
    ASSERT_TRUE(journal) << journal.error().message;
    ASSERT_TRUE(journal->set_epoch(7));
    ASSERT_TRUE(journal->put(record("a", JobState::intent)));
    ASSERT_TRUE(journal->put(record("a", JobState::exited)));
    ASSERT_TRUE(journal->put(record("b", JobState::started)));
    ASSERT_TRUE(journal->put(record("c", JobState::intent)));
    ASSERT_TRUE(journal->forget("c"));
  }
  void expect_example() {
    Result<Journal> journal = Journal::open(path);
    ASSERT_TRUE(journal) << journal.error().message;
    EXPECT_EQ(journal->epoch(), 7);
    ASSERT_EQ(journal->jobs().size(), 2u);
    EXPECT_EQ(journal->jobs().at("a").state, JobState::exited);
    EXPECT_EQ(journal->jobs().at("a").message, "sh ended with exit code 3");
    EXPECT_EQ(journal->jobs().at("b").state, JobState::started);
  }
};

TEST_F(JournalTest, RemembersAcrossOpenings) {
  write_example();
  expect_example();
  expect_example();
}

TEST_F(JournalTest, DropsATornLastLine) {
  write_example();
  append(path, R"({"entry":{"epoch":9,"what":"epo)");
  expect_example();
  append(path, std::string(100, '\0'));
  expect_example();
  append(path, "{\"entry\":{\"epoch\":9,\"what\":\"epoch\"},\"sum\":\"0000000000000000\"}\n");
  expect_example();
}

TEST_F(JournalTest, CutAnywhereItOpensWithThePrefix) {
  write_example();
  std::string whole = *read_file(path);
  size_t end_of_b = whole.find('\n', whole.find("\"b\"")) + 1;
  for (size_t length = 0; length <= whole.size(); ++length) {
    ASSERT_TRUE(write_file_atomically(path, whole.substr(0, length)));
    Result<Journal> journal = Journal::open(path);
    ASSERT_TRUE(journal) << length << ": " << journal.error().message;
    EXPECT_EQ(journal->jobs().contains("b"), length >= end_of_b) << length;
  }
}

TEST_F(JournalTest, AFlippedBitIsFoundAndNeverBelieved) {
  write_example();
  std::string whole = *read_file(path);
  size_t last_line = whole.rfind('\n', whole.size() - 2) + 1;
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    ASSERT_TRUE(write_file_atomically(path, flipped));
    Result<Journal> journal = Journal::open(path);
    if (at + 1 < last_line) {
      ASSERT_FALSE(journal) << at;
      EXPECT_EQ(journal.error().cause, Cause::bad_state);
    } else if (journal) {
      EXPECT_EQ(journal->jobs().at("a").code, 3);
    }
  }
}

TEST_F(JournalTest, NamesTheDamagedLine) {
  write_example();
  std::string whole = *read_file(path);
  whole[whole.find('\n') + 10] = '#';
  ASSERT_TRUE(write_file_atomically(path, whole));
  Result<Journal> journal = Journal::open(path);
  ASSERT_FALSE(journal);
  EXPECT_NE(journal.error().message.find("journal:2: this line is damaged"), std::string::npos);
}

TEST_F(JournalTest, WhateverAJobSaysIsReadAgain) {
  JobRecord bytes = record("a", JobState::exited), deep = record("b", JobState::exited);
  bytes.message = "element type '<i\xb8'";
  deep.result["x"] = 1;
  for (int i = 0; i < 62; ++i) deep.result = Json(Json::Array{deep.result});  // JSON may be 64 deep
  {
    Result<Journal> journal = Journal::open(path);
    ASSERT_TRUE(journal);
    ASSERT_TRUE(journal->put(bytes));
    ASSERT_TRUE(journal->put(deep));
    EXPECT_EQ(journal->jobs().at("a").message, "element type '<i\uFFFD'") << "as it will be read";
    ASSERT_TRUE(journal->set_epoch(7));
  }
  Result<Journal> journal = Journal::open(path);
  ASSERT_TRUE(journal) << journal.error().message;
  EXPECT_EQ(journal->epoch(), 7);
  ASSERT_EQ(journal->jobs().size(), 2u);
  EXPECT_EQ(journal->jobs().at("a").message, "element type '<i\uFFFD'");
  EXPECT_EQ(journal->jobs().at("b").state, JobState::exited);
  EXPECT_TRUE(journal->jobs().at("b").result.is_null());
}

TEST_F(JournalTest, SyncsEachEntry) {
  Result<Journal> journal = Journal::open(path);
  ASSERT_TRUE(journal);
  int64_t before = file_counters().syncs;
  ASSERT_TRUE(journal->put(record("a", JobState::intent)));
  EXPECT_EQ(file_counters().syncs, before + 1);
}

}  // namespace
}  // namespace gnnflow
