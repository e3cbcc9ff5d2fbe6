// The queries about what was made.
#include "orchestrator/store/past_results.h"

#include "orchestrator/store/rows.h"

namespace gnnflow {
namespace {

Result<std::optional<AttemptRow>> first_of(Result<std::vector<AttemptRow>> attempts) {
  if (!attempts) return std::move(attempts).error();
  if (attempts->empty()) return std::optional<AttemptRow>();
  return std::optional<AttemptRow>(std::move(attempts->front()));
}

}  // namespace

Result<std::vector<AttemptRow>> PastResults::attempts() {
  return read_attempts(*database_, "ORDER BY id", {});
}

Result<std::vector<AttemptRow>> PastResults::unfinished_attempts() {
  return read_attempts(*database_, "WHERE state IN ('intent','running','publishing') ORDER BY id", {});
}

Result<std::vector<TaskRow>> PastResults::tasks_of(int64_t attempt) {
  return read_tasks(*database_, attempt);
}

Result<std::vector<HostRow>> PastResults::hosts() { return read_hosts(*database_); }

Result<std::optional<AttemptRow>> PastResults::last_succeeded(std::string_view step, std::string_view key) {
  return first_of(read_attempts(*database_,
                                "WHERE step=? AND key=? AND state='succeeded' ORDER BY id DESC LIMIT 1",
                                {sql(step), sql(key)}));
}

Result<std::optional<AttemptRow>> PastResults::last_attempt(std::string_view step) {
  return first_of(read_attempts(*database_, "WHERE step=? ORDER BY number DESC LIMIT 1", {sql(step)}));
}

Result<std::vector<AttemptRow>> PastResults::succeeded_with_resume_key(std::string_view step,
                                                                       std::string_view resume_key) {
  return read_attempts(*database_, "WHERE step=? AND resume_key=? AND state='succeeded' ORDER BY id DESC",
                       {sql(step), sql(resume_key)});
}

Result<std::vector<PieceRow>> PastResults::pieces_of(int64_t attempt) {
  std::vector<PieceRow> pieces;
  TRY(database_->each("SELECT name, digest, bytes FROM piece WHERE attempt=? ORDER BY position",
                      {sql(attempt)}, [&](const SqlRow& row) {
                        pieces.push_back({row.text(0), row.text(1), row.integer(2)});
                        return Status();
                      }));
  return pieces;
}

Result<std::vector<LocationRow>> PastResults::locations() {
  return read_locations(*database_, "ORDER BY artifact, piece, host", {});
}

Result<std::vector<LocationRow>> PastResults::locations_of(std::string_view artifact) {
  return read_locations(*database_, "WHERE artifact=? ORDER BY piece, host", {sql(artifact)});
}

Result<std::optional<std::string>> PastResults::remembered_digest(const fs::path& file,
                                                                  std::string_view stamp) {
  TRY(std::string digest, database_->text("SELECT digest FROM file_digest WHERE path=? AND stamp=?",
                                          {sql(file.native()), sql(stamp)}));
  if (digest.empty()) return std::optional<std::string>();
  return std::optional<std::string>(std::move(digest));
}

}  // namespace gnnflow
