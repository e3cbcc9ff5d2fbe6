// The transactions of the one writer: durable ones, several as one, and news that may wait for the next.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/result.h"
#include "orchestrator/store/sqlite.h"

namespace gnnflow {

// Stays where it is once something was written.
class StoreWriter {
 public:
  explicit StoreWriter(Database database) : database_(std::move(database)) {}

  Database& database() { return database_; }
  int64_t commits() const { return commits_; }

  // One durable transaction, or a part of together()'s; news that wait go with it.
  Status write(const std::function<Status()>& body);
  Status together(const std::function<Status()>& body);
  // Without waiting for the disk: may be lost with the power, in order with all else.
  Status write_loosely(const std::function<Status(Database&)>& body);

  // The last word of each is kept and written within a second, or with the next commit.
  Status put_progress(int64_t attempt, int task, const Json& progress);
  Status put_waits(int64_t run, std::string_view step, std::string_view what);
  void forget_waits(int64_t run, const std::string& step) { news_.waits.erase({run, step}); }
  Status flush_when_due();
  Status flush();

 private:
  struct News {
    std::map<std::pair<int64_t, int>, Json> progress;
    std::map<std::pair<int64_t, std::string>, std::string> waits;
    bool empty() const { return progress.empty() && waits.empty(); }
    Status write(Database& to) const;
  };
  Result<Database*> loose_database();
  void keep(News unwritten);

  Database database_;
  std::optional<Database> loose_;
  News news_;  // not yet written
  Deadline next_news_ = Deadline::after(Milliseconds(0));
  int64_t commits_ = 0;
  bool together_ = false;
  std::optional<Error> failed_;  // the first error inside of together()
};

}  // namespace gnnflow
