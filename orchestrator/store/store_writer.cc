// Two connections to one file: one that waits for the disk at each commit, one that does not.
#include "orchestrator/store/store_writer.h"

#include <utility>

namespace gnnflow {
namespace {

constexpr Milliseconds kNewsEvery{1000};

}  // namespace

Result<Database*> StoreWriter::loose_database() {
  if (!loose_) {
    TRY(Database opened, Database::open(database_.file(), Database::Mode::write));
    // In WAL mode: no fsync at a commit, the order of commits still holds.
    TRY(opened.run("PRAGMA synchronous=NORMAL"));
    loose_.emplace(std::move(opened));
  }
  return &*loose_;
}

Status StoreWriter::write(const std::function<Status()>& body) {
  if (!together_) return together(body);
  // After an error SQLite may have rolled back already: what follows would be committed alone.
  if (failed_) return *failed_;
  Status done = body();
  if (!done) failed_ = done.error();
  return done;
}

Status StoreWriter::together(const std::function<Status()>& body) {
  if (together_) return body();
  News news = std::exchange(news_, {});  // what comes from now on waits for the next
  const auto everything = [&]() -> Status {
    TRY(Transaction transaction, Transaction::begin(database_));
    TRY(news.write(database_));
    together_ = true;
    Status done = body();
    together_ = false;
    if (std::optional<Error> first = std::exchange(failed_, std::nullopt)) return std::move(*first);
    TRY(std::move(done));
    return transaction.commit();
  };
  Status done = everything();
  if (!done) {
    keep(std::move(news));
    return done;
  }
  ++commits_;
  return {};
}

Status StoreWriter::write_loosely(const std::function<Status(Database&)>& body) {
  // The other connection would wait for this one's transaction for ever.
  if (together_) {
    return write([&] { return body(database_); });
  }
  TRY(Database * to, loose_database());
  TRY(Transaction transaction, Transaction::begin(*to));
  TRY(body(*to));
  return transaction.commit();
}

Status StoreWriter::put_progress(int64_t attempt, int task, const Json& progress) {
  news_.progress[{attempt, task}] = progress;
  return flush_when_due();
}

Status StoreWriter::put_waits(int64_t run, std::string_view step, std::string_view what) {
  news_.waits[{run, std::string(step)}] = what;
  return flush_when_due();
}

Status StoreWriter::flush_when_due() { return next_news_.passed() && !together_ ? flush() : Status(); }

Status StoreWriter::flush() {
  if (news_.empty()) return {};
  TRY(write_loosely([this](Database& to) { return news_.write(to); }));
  news_ = {};
  next_news_ = Deadline::after(kNewsEvery);
  return {};
}

// Newer ones that have come meanwhile stand.
void StoreWriter::keep(News unwritten) {
  news_.progress.merge(unwritten.progress);
  news_.waits.merge(unwritten.waits);
}

Status StoreWriter::News::write(Database& to) const {
  for (const auto& [task, said] : progress) {
    // Late news of a task that has ended are dropped.
    TRY(to.run(
        "UPDATE task SET progress=? WHERE attempt=? AND number=? AND state IN ('intent','started','unknown')",
        {sql(said.dump()), sql(task.first), sql(task.second)}));
  }
  for (const auto& [step, what] : waits) {
    TRY(to.run("UPDATE run_step SET waits=? WHERE run=? AND step=?",
               {sql(what), sql(step.first), sql(step.second)}));
  }
  return {};
}

}  // namespace gnnflow
