// The one user of SQLite's interface.
#include "orchestrator/store/sqlite.h"

#include <cerrno>
#include <utility>

#include <fmt/format.h>
#include <sqlite3.h>

namespace gnnflow {
namespace {

struct Finalize {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Prepared = std::unique_ptr<sqlite3_stmt, Finalize>;

int bind_one(sqlite3_stmt* statement, int index, const SqlValue& value) {
  if (const int64_t* number = std::get_if<int64_t>(&value))
    return sqlite3_bind_int64(statement, index, *number);
  if (const std::string* text = std::get_if<std::string>(&value)) {
    return sqlite3_bind_text64(statement, index, text->data(), text->size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  }
  return sqlite3_bind_null(statement, index);
}

int prepare(sqlite3* handle, std::string_view text, std::initializer_list<SqlValue> values,
            Prepared& prepared) {
  sqlite3_stmt* raw = nullptr;
  int code = sqlite3_prepare_v2(handle, text.data(), static_cast<int>(text.size()), &raw, nullptr);
  prepared.reset(raw);
  int index = 0;
  for (const SqlValue& value : values) {
    if (code == SQLITE_OK) code = bind_one(raw, ++index, value);
  }
  return code;
}

bool is_disk_full(int code, int system) {
  return code == SQLITE_FULL || (code == SQLITE_IOERR && (system == ENOSPC || system == EDQUOT));
}

}  // namespace

int64_t SqlRow::integer(int column) const { return sqlite3_column_int64(statement_, column); }

std::string SqlRow::text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  if (!text) return {};
  return std::string(text, static_cast<size_t>(sqlite3_column_bytes(statement_, column)));
}

bool SqlRow::is_null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

void Database::Close::operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }

Error Database::error(int extended) const {
  const int code = extended & 0xff;
  const std::string said = handle_ ? sqlite3_errmsg(handle_.get()) : sqlite3_errstr(extended);
  const std::string file = file_.string(), folder = file_.parent_path().string();
  if (is_disk_full(code, handle_ ? sqlite3_system_errno(handle_.get()) : 0)) {
    return {Cause::no_resources, fmt::format("{}: the disk is full; make room in {}", file, folder)};
  }
  switch (code) {
    case SQLITE_NOMEM:
      return {Cause::no_resources, fmt::format("{}: not enough memory", file)};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return {Cause::bad_state,
              fmt::format("{}: damaged ({}); restore it, or move {} away to begin anew", file, said, folder)};
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {Cause::locked, fmt::format("{}: another process is writing it; run again", file)};
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      return {Cause::failed,
              fmt::format("{}: {}; SQLite must be able to write in the folder {}, also for reading", file,
                          said, folder)};
    case SQLITE_CONSTRAINT:
      return {Cause::bug, fmt::format("{}: refused: {}", file, said)};
    default:
      return {Cause::failed, fmt::format("{}: {}", file, said)};
  }
}

Result<Database> Database::open(const fs::path& file, Mode mode, Milliseconds busy_timeout) {
  Database database(file);
  sqlite3* handle = nullptr;
  const int access = mode == Mode::read ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
  int code =
      sqlite3_open_v2(file.c_str(), &handle, access | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  database.handle_.reset(handle);
  if (code != SQLITE_OK) return database.error(code);
  sqlite3_busy_timeout(handle, static_cast<int>(busy_timeout.count()));
  if (mode == Mode::write) TRY(database.run("PRAGMA foreign_keys=ON"));
  return database;
}

Status Database::script(std::string_view statements) {
  int code = sqlite3_exec(handle_.get(), std::string(statements).c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return error(code);
  return {};
}

Status Database::each(std::string_view statement, std::initializer_list<SqlValue> values,
                      const std::function<Status(const SqlRow&)>& row) {
  Prepared prepared;
  int code = prepare(handle_.get(), statement, values, prepared);
  if (code != SQLITE_OK) return error(code);
  while ((code = sqlite3_step(prepared.get())) == SQLITE_ROW) TRY(row(SqlRow(prepared.get())));
  if (code != SQLITE_DONE) return error(code);
  return {};
}

Status Database::run(std::string_view statement, std::initializer_list<SqlValue> values) {
  return each(statement, values, [](const SqlRow&) { return Status(); });
}

Result<int64_t> Database::insert(std::string_view statement, std::initializer_list<SqlValue> values) {
  TRY(run(statement, values));
  return int64_t{sqlite3_last_insert_rowid(handle_.get())};
}

int64_t Database::changes() const { return sqlite3_changes64(handle_.get()); }

Result<int64_t> Database::integer(std::string_view statement, std::initializer_list<SqlValue> values) {
  int64_t value = 0;
  bool first = true;
  TRY(each(statement, values, [&](const SqlRow& row) {
    if (std::exchange(first, false)) value = row.integer(0);
    return Status();
  }));
  return value;
}

Result<std::string> Database::text(std::string_view statement, std::initializer_list<SqlValue> values) {
  std::string value;
  bool first = true;
  TRY(each(statement, values, [&](const SqlRow& row) {
    if (std::exchange(first, false)) value = row.text(0);
    return Status();
  }));
  return value;
}

Status Database::snapshot(const std::function<Status()>& reading) {
  TRY(run("BEGIN"));
  Status status = reading();
  Status ended = run("COMMIT");
  return status ? ended : status;
}

Result<Transaction> Transaction::begin(Database& database) {
  TRY(database.run("BEGIN IMMEDIATE"));
  return Transaction(database);
}

Status Transaction::commit() {
  TRY(database_->run("COMMIT"));
  database_ = nullptr;
  return {};
}

Transaction::~Transaction() {
  // A disk that filled up has rolled it back already; then this fails and nothing is lost by it.
  if (database_) (void)database_->run("ROLLBACK");
}

}  // namespace gnnflow
