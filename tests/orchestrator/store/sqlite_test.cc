// SQLite's errors as ours, and transactions.
#include "orchestrator/store/sqlite.h"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

Database fresh(const TempDir& dir, std::string_view name = "x.db", Milliseconds busy = Milliseconds(0)) {
  fs::path file = dir / name;
  if (!fs::exists(file)) dir.file(name, "");
  Result<Database> database = Database::open(file, Database::Mode::write, busy);
  if (!database) bug(database.error().message);
  return std::move(*database);
}

TEST(Sqlite, GivesBackWhatWasStored) {
  TempDir dir;
  Database database = fresh(dir);
  ASSERT_TRUE(database.script("CREATE TABLE t(a INTEGER, b TEXT, c TEXT) STRICT"));
  const std::string odd = std::string("nul \0 and 'quotes'", 18);
  ASSERT_TRUE(database.run("INSERT INTO t VALUES(?,?,?)", {sql(int64_t{1} << 60), sql(odd), nullptr}));
  ASSERT_TRUE(database.each("SELECT a, b, c FROM t", {}, [&](const SqlRow& row) {
    EXPECT_EQ(row.integer(0), int64_t{1} << 60);
    EXPECT_EQ(row.text(1), odd);
    EXPECT_TRUE(row.is_null(2));
    return Status();
  }));
  EXPECT_EQ(*database.integer("SELECT count(*) FROM t"), 1);
}

TEST(Sqlite, RollsBackWhatWasNotCommitted) {
  TempDir dir;
  Database database = fresh(dir);
  ASSERT_TRUE(database.script("CREATE TABLE t(a INTEGER)"));
  {
    Result<Transaction> transaction = Transaction::begin(database);
    ASSERT_TRUE(transaction);
    ASSERT_TRUE(database.run("INSERT INTO t VALUES(1)"));
  }
  EXPECT_EQ(*database.integer("SELECT count(*) FROM t"), 0);
}

TEST(Sqlite, SaysLockedWhileAnotherWrites) {
  TempDir dir;
  Database one = fresh(dir), two = fresh(dir);
  Result<Transaction> transaction = Transaction::begin(one);
  ASSERT_TRUE(transaction);
  Result<Transaction> second = Transaction::begin(two);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().cause, Cause::locked);
}

TEST(Sqlite, CallsAFullDiskNoResourcesAndNamesTheFile) {
  TempDir dir;
  Database database = fresh(dir);
  ASSERT_TRUE(database.script("CREATE TABLE t(a TEXT); PRAGMA max_page_count=4"));
  Status full = database.run("INSERT INTO t VALUES(?)", {sql(std::string(1 << 20, 'x'))});
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().cause, Cause::no_resources);
  EXPECT_NE(full.error().message.find((dir / "x.db").string() + ": the disk is full"), std::string::npos)
      << full.error().message;
}

TEST(Sqlite, CallsGarbageADamagedState) {
  TempDir dir;
  dir.file("x.db", std::string(8192, '?'));
  Database database = fresh(dir);
  Result<int64_t> read = database.integer("SELECT count(*) FROM sqlite_master");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().cause, Cause::bad_state);
  EXPECT_NE(read.error().message.find("x.db: damaged"), std::string::npos) << read.error().message;
}

TEST(Sqlite, NamesTheFolderOfAFileThatCannotBeOpened) {
  TempDir dir;
  Result<Database> none = Database::open(dir / "none/x.db", Database::Mode::read);
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("folder " + (dir / "none").string()), std::string::npos)
      << none.error().message;
}

TEST(Sqlite, RefusesToWriteThroughAReadingConnection) {
  TempDir dir;
  ASSERT_TRUE(fresh(dir).script("CREATE TABLE t(a INTEGER)"));
  Result<Database> reading = Database::open(dir / "x.db", Database::Mode::read);
  ASSERT_TRUE(reading);
  Status refused = reading->run("INSERT INTO t VALUES(1)");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("able to write in the folder " + dir.path().string()),
            std::string::npos);
}

TEST(Sqlite, GivesTheErrorOfTheOneWhoReads) {
  TempDir dir;
  Database database = fresh(dir);
  Status status = database.each("SELECT 1", {}, [](const SqlRow&) {
    return Status(Error{Cause::bad_data, "enough"});
  });
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "enough");
}

}  // namespace
}  // namespace gnnflow
