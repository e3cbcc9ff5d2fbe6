// SQLite behind few small values: a database, a statement, a writing transaction; its errors as ours.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace gnnflow {

using SqlValue = std::variant<std::nullptr_t, int64_t, std::string>;
inline SqlValue sql(std::string_view text) { return std::string(text); }
inline SqlValue sql(int64_t number) { return number; }
inline SqlValue null_if_zero(int64_t number) { return number ? SqlValue(number) : SqlValue(nullptr); }

// One row of an answer; valid while the callback that got it runs. A null is 0 or "".
class SqlRow {
 public:
  explicit SqlRow(sqlite3_stmt* statement) : statement_(statement) {}
  int64_t integer(int column) const;
  std::string text(int column) const;
  bool is_null(int column) const;

 private:
  sqlite3_stmt* statement_;
};

// One connection, one thread. Errors name the file; SQLITE_FULL and no memory are `no_resources`, damage is
// `bad_state`, a lock held beyond the busy timeout is `locked`, what a CHECK, an index or a trigger refuses
// is `bug`.
class Database {
 public:
  enum class Mode { read, write };
  // The file must be there. `write` also turns on foreign keys.
  static Result<Database> open(const fs::path& file, Mode mode,
                               Milliseconds busy_timeout = Milliseconds(5000));

  Status script(std::string_view statements);  // several, no values
  Status run(std::string_view statement, std::initializer_list<SqlValue> values = {});
  Result<int64_t> insert(std::string_view statement,
                         std::initializer_list<SqlValue> values);  // the new row's id
  int64_t changes() const;                                         // rows changed by the last run()
  // Calls `row` for each row; its error ends the reading.
  Status each(std::string_view statement, std::initializer_list<SqlValue> values,
              const std::function<Status(const SqlRow&)>& row);
  // The first row's first column; 0 or "" when there is none.
  Result<int64_t> integer(std::string_view statement, std::initializer_list<SqlValue> values = {});
  Result<std::string> text(std::string_view statement, std::initializer_list<SqlValue> values = {});
  // Everything in `reading` sees one state of the database.
  Status snapshot(const std::function<Status()>& reading);
  const fs::path& file() const { return file_; }

 private:
  friend class Transaction;
  struct Close {
    void operator()(sqlite3* handle) const;
  };
  explicit Database(fs::path file) : file_(std::move(file)) {}
  Error error(int code) const;
  fs::path file_;
  std::unique_ptr<sqlite3, Close> handle_;
};

// BEGIN IMMEDIATE at once; rolled back unless committed. The database must stay where it is meanwhile.
class Transaction {
 public:
  static Result<Transaction> begin(Database& database);
  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  Status commit();

 private:
  explicit Transaction(Database& database) : database_(&database) {}
  Database* database_;
};

}  // namespace gnnflow
