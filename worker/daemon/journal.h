// What the daemon knows of its jobs and must know again after a crash: lines of JSON with a checksum, synced
// one by one.
#pragma once

#include <map>
#include <string>

#include "common/base/child_process.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/result.h"

namespace gnnflow {

enum class JobState { intent, started, exited, killed, lost };
std::string_view name_of(JobState state);
constexpr bool is_final(JobState state) { return state >= JobState::exited; }

struct JobRecord {
  std::string token, program, kind;
  std::string task;  // digest of task.json
  JobState state = JobState::intent;
  ProcessIdentity process;  // of the shim, then of what it turned into
  int code = 0, signal = 0;
  std::string cause, message;  // of the job's own failure report
  Json result;                 // its last `result` report, when that is small
};

// One line:  {"entry":{...},"sum":"<16 hexadecimal digits of the entry's digest>"}
// Use from one thread. What a call has returned for is durable, and was seen to be readable.
class Journal {
 public:
  // Reads it, drops what a crash has torn off the end, and writes it anew without what is forgotten.
  // `bad_state` when a line before the last one is damaged.
  static Result<Journal> open(const fs::path& path);

  int64_t epoch() const { return epoch_; }
  const std::map<std::string, JobRecord, std::less<>>& jobs() const { return jobs_; }

  Status set_epoch(int64_t epoch);
  Status put(const JobRecord& job);  // without its result when that is nested too deep to be read again
  Status forget(std::string_view token);

 private:
  Journal() = default;
  Status read(std::string_view text);
  void apply(const Json& entry);
  Status rewrite();
  Status append(const Json& entry);

  fs::path path_;
  FileDescriptor file_;
  int64_t size_ = 0;
  int64_t epoch_ = 0;
  std::map<std::string, JobRecord, std::less<>> jobs_;
};

}  // namespace gnnflow
