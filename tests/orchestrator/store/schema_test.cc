// Versions of the state: the golden one opens, newer and foreign ones are refused.
#include "orchestrator/store/schema.h"

#include <gtest/gtest.h>

#include "tests/orchestrator/store/store_rows.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

// A state as the program of that version left it, one row in each table, a run cut off in the middle.
fs::path golden_state(const TempDir& dir, int64_t version = kSchemaVersion) {
  const fs::path file =
      fs::path(GNNFLOW_SOURCE_FOLDER) / ("tests/data/state_version_" + std::to_string(version) + ".sql");
  dir.file(std::to_string(version) + "/gnnflow.db", "");
  const fs::path folder = dir / std::to_string(version);
  Database database = raw_database(folder);
  must(database.script(must(read_file(file))));
  return folder;
}

std::string tables_of(const fs::path& folder) {
  std::string all;
  must(raw_database(folder).each("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type, name",
                                 {}, [&](const SqlRow& row) {
                                   all += row.text(0) + "\n";
                                   return Status();
                                 }));
  return all;
}

Error refusal(const fs::path& folder) {
  Result<RunStore> store = RunStore::open(folder);
  if (!store) return store.error();
  ADD_FAILURE() << "it was opened";
  return {};
}

class GoldenState : public testing::TestWithParam<int64_t> {};

TEST_P(GoldenState, OpensWithAllThatIsInIt) {
  TempDir dir;
  const fs::path folder = golden_state(dir, GetParam());
  RunStore store = must(RunStore::open(folder));
  EXPECT_FALSE(store.made());
  EXPECT_EQ(store.store_id(), "00112233445566778899aabbccddeeff");
  EXPECT_EQ(store.epoch(), 4);
  EXPECT_EQ(must(store.unfinished_attempts()).size(), 1u);
  EXPECT_EQ(must(store.pieces_of(1))[0].digest, "d1");
  EXPECT_TRUE(must(store.locations_of("d1"))[0].verified);
  EXPECT_EQ(must(store.hosts())[0].root, "/w/s/controller");
  RunStatus status = must(must(StoreReader::open(folder)).status());
  EXPECT_EQ(status.state, StepState::interrupted);
  ASSERT_EQ(status.steps.size(), 2u);
  EXPECT_EQ(status.steps[0].state, StepState::succeeded);
  EXPECT_EQ(status.steps[1].state, StepState::interrupted);
  EXPECT_EQ(status.steps[1].tasks[0].progress.text_or("phase", ""), "epoch 3");
}

TEST_P(GoldenState, HasTheTablesOfANewOneOnceItWasOpened) {
  // Fails when tables change without a new version and a step that leads to it.
  TempDir dir;
  must(RunStore::open(dir / "new"));
  const fs::path folder = golden_state(dir, GetParam());
  must(RunStore::open(folder));
  EXPECT_EQ(tables_of(dir / "new"), tables_of(folder));
  EXPECT_EQ(must(raw_database(folder).integer("PRAGMA user_version")), kSchemaVersion);
}

INSTANTIATE_TEST_SUITE_P(OfEachVersion, GoldenState, testing::Range<int64_t>(1, kSchemaVersion + 1));

TEST(Schema, OfANewStateIsTheGoldenOne) {
  TempDir dir;
  must(RunStore::open(dir / "new"));
  EXPECT_EQ(tables_of(dir / "new"), tables_of(golden_state(dir)));
}

TEST(Schema, AnOlderStateTakesTheNameOfTheFirstWorkflowThatOpensIt) {
  TempDir dir;
  const fs::path folder = golden_state(dir, 1);
  EXPECT_EQ(must(RunStore::open(folder, {"flow", "/home/u/flow.yml"})).epoch(), 4);
  EXPECT_EQ(must(must(StoreReader::open(folder)).owner()).workflow, "flow");
  EXPECT_EQ(must(must(StoreReader::open(golden_state(dir, 2))).owner()).grace, Milliseconds(10'000));
}

TEST(Schema, AReaderLeavesAnOlderStateAloneAndSaysWhoBringsItUp) {
  TempDir dir;
  const fs::path folder = golden_state(dir, 1);
  Result<StoreReader> reader = StoreReader::open(folder);
  ASSERT_FALSE(reader);
  EXPECT_EQ(exit_code(reader.error().cause), 9);
  EXPECT_NE(reader.error().message.find("from an older gnnflow; `gnnflow run` brings it up to date"),
            std::string::npos)
      << reader.error().message;
  EXPECT_EQ(must(raw_database(folder).integer("PRAGMA user_version")), 1);
}

TEST(Schema, RefusesANewerVersionWith9) {
  TempDir dir;
  const fs::path folder = golden_state(dir);
  must(raw_database(folder).script("PRAGMA user_version=3"));
  const Error error = refusal(folder);
  EXPECT_EQ(exit_code(error.cause), 9);
  EXPECT_NE(error.message.find("newer gnnflow (version 3 of the state, this program knows 2)"),
            std::string::npos)
      << error.message;
  EXPECT_EQ(StoreReader::open(folder).error().cause, Cause::bad_state);
}

TEST(Schema, RefusesADatabaseOfAnotherProgram) {
  TempDir dir;
  dir.file("s/gnnflow.db", "");
  must(raw_database(dir / "s").script("CREATE TABLE photos(name TEXT)"));
  const Error error = refusal(dir / "s");
  EXPECT_EQ(exit_code(error.cause), 9);
  EXPECT_NE(error.message.find("not a state of gnnflow"), std::string::npos) << error.message;
}

TEST(Schema, FinishesAStateThatWasNeverFilled) {
  TempDir dir;
  dir.file("s/gnnflow.db", "");
  EXPECT_EQ(StoreReader::open(dir / "s").error().cause, Cause::not_found);
  EXPECT_TRUE(must(RunStore::open(dir / "s")).made());
}

TEST(Schema, EveryCutAndFlippedStateIsRefusedOrReadNeverACrash) {
  TempDir dir;
  const fs::path folder = golden_state(dir);
  must(raw_database(folder).script("PRAGMA journal_mode=DELETE"));
  const std::string whole = must(read_file(folder / "gnnflow.db"));
  int refused = 0;
  for (size_t i = 0; i < 200; ++i) {
    std::string bytes = whole;
    const size_t at = i * 7919 % whole.size();
    if (i % 2) {
      bytes.resize(at);
    } else {
      bytes[at] = static_cast<char>(bytes[at] ^ 0x5a);
    }
    TempDir other;
    other.file("gnnflow.db", bytes);
    Result<StoreReader> reader = StoreReader::open(other.path());
    Result<RunStatus> status = reader ? reader->status() : Result<RunStatus>(reader.error());
    if (status) continue;
    ++refused;
    EXPECT_TRUE(status.error().cause == Cause::bad_state || status.error().cause == Cause::not_found)
        << i << ": " << status.error().message;
  }
  EXPECT_GT(refused, 50);
}

}  // namespace
}  // namespace gnnflow
