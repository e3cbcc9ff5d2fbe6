// What earlier runs have made, for whoever decides what is still to do.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/file.h"
#include "common/base/result.h"
#include "orchestrator/store/run_rows.h"

namespace gnnflow {

class Database;

// The reading that the controller (RunStore) and those beside it (StoreReader) share. Use from one thread.
class PastResults {
 public:
  virtual ~PastResults() = default;

  Result<std::vector<HostRow>> hosts();
  Result<std::vector<AttemptRow>> attempts();  // all of them
  Result<std::vector<AttemptRow>> unfinished_attempts();
  Result<std::vector<TaskRow>> tasks_of(int64_t attempt);
  Result<std::optional<AttemptRow>> last_succeeded(std::string_view step, std::string_view key);
  Result<std::optional<AttemptRow>> last_attempt(std::string_view step);
  Result<std::vector<AttemptRow>> succeeded_with_resume_key(std::string_view step,
                                                            std::string_view resume_key);
  Result<std::vector<PieceRow>> pieces_of(int64_t attempt);
  Result<std::vector<LocationRow>> locations();  // all of them
  Result<std::vector<LocationRow>> locations_of(std::string_view artifact);
  // A file's digest remembered by size, mtime, ctime, inode.
  Result<std::optional<std::string>> remembered_digest(const fs::path& file, std::string_view stamp);
  // A reader remembers nothing, and that is no error.
  virtual Status remember_digest(const fs::path& file, std::string_view stamp, std::string_view digest) = 0;

 protected:
  // REQUIRES: the database stays where it is.
  explicit PastResults(Database& database) : database_(&database) {}
  PastResults(PastResults&&) = default;
  PastResults& operator=(PastResults&&) = default;

 private:
  Database* database_;
};

}  // namespace gnnflow
