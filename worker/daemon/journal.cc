// Reading and appending journal lines.
#include "worker/daemon/journal.h"

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "common/base/digest.h"
#include "common/base/file_effects.h"
#include "common/base/text.h"

namespace gnnflow {
namespace {

constexpr std::array<std::string_view, 5> kStates = {"intent", "started", "exited", "killed", "lost"};
constexpr size_t kSumDigits = 16;

std::string sum_of(const Json& entry) { return digest_of(entry.dump()).substr(0, kSumDigits); }

std::string line_of(const Json& entry) {
  Json line;
  line["sum"] = sum_of(entry);
  line["entry"] = entry;
  return line.dump() + "\n";
}

Json epoch_entry(int64_t epoch) {
  Json entry;
  entry["what"] = "epoch";
  entry["epoch"] = epoch;
  return entry;
}

Json job_entry(const JobRecord& job) {
  Json entry;
  entry["what"] = "job";
  entry["token"] = job.token;
  entry["program"] = job.program;
  entry["kind"] = job.kind;
  entry["task"] = job.task;
  entry["state"] = name_of(job.state);
  entry["pid"] = job.process.pid;
  entry["start_time"] = job.process.start_time;
  entry["boot"] = job.process.boot;
  entry["code"] = job.code;
  entry["signal"] = job.signal;
  entry["cause"] = job.cause;
  entry["message"] = job.message;
  entry["result"] = job.result;
  return entry;
}

JobRecord job_of(const Json& entry) {
  JobRecord job;
  job.token = entry.text_or("token", "");
  job.program = entry.text_or("program", "");
  job.kind = entry.text_or("kind", "");
  job.task = entry.text_or("task", "");
  std::string state = entry.text_or("state", "");
  for (size_t i = 0; i < kStates.size(); ++i) {
    if (kStates[i] == state) job.state = static_cast<JobState>(i);
  }
  job.process.pid = static_cast<int>(entry.integer_or("pid", 0));
  job.process.start_time = entry.integer_or("start_time", 0);
  job.process.boot = entry.text_or("boot", "");
  job.code = static_cast<int>(entry.integer_or("code", 0));
  job.signal = static_cast<int>(entry.integer_or("signal", 0));
  job.cause = entry.text_or("cause", "");
  job.message = entry.text_or("message", "");
  job.result = entry.get("result");
  return job;
}

// The entry of a whole line, with or without its end, or null.
Json entry_of(std::string_view line) {
  Result<Json> parsed = Json::parse(line);
  if (!parsed) return {};
  const Json& entry = parsed->get("entry");
  if (!entry.is_object() || parsed->text_or("sum", "") != sum_of(entry)) return {};
  return entry;
}

}  // namespace

std::string_view name_of(JobState state) { return kStates[static_cast<size_t>(state)]; }

Result<Journal> Journal::open(const fs::path& path) {
  Journal journal;
  journal.path_ = path;
  Result<std::string> text = read_file(path);
  if (!text && text.error().cause != Cause::not_found) return std::move(text).error();
  if (text) TRY(journal.read(*text));
  TRY(journal.rewrite());
  return journal;
}

Status Journal::read(std::string_view text) {
  int number = 0, bad = 0;
  while (!text.empty()) {
    ++number;
    size_t end = text.find('\n');
    Json entry = entry_of(text.substr(0, end));
    bool whole = end != std::string_view::npos && entry.is_object();
    // Only the end can be torn: each line was synced before the next one.
    if (whole && bad) {
      return Error{Cause::bad_state,
                   fmt::format("{}:{}: this line is damaged, and lines after it are not; move the file "
                               "aside to begin a new one",
                               path_.string(), bad)};
    }
    if (whole) apply(entry);
    if (!whole && !bad) bad = number;
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return {};
}

void Journal::apply(const Json& entry) {
  std::string what = entry.text_or("what", "");
  if (what == "epoch") epoch_ = std::max(epoch_, entry.integer_or("epoch", 0));
  if (what == "forget") jobs_.erase(entry.text_or("token", ""));
  if (what == "job") {
    JobRecord job = job_of(entry);
    jobs_[job.token] = job;
  }
}

Status Journal::rewrite() {
  std::string text = line_of(epoch_entry(epoch_));
  for (const auto& [token, job] : jobs_) text += line_of(job_entry(job));
  TRY(write_file_atomically(path_, text, 0600));
  TRY(file_, open_file(path_, O_WRONLY | O_APPEND));
  size_ = static_cast<int64_t>(text.size());
  return {};
}

Status Journal::append(const Json& entry) {
  std::string line = line_of(entry);
  // At the next start a line that cannot be read is a torn one, or damage.
  const Json read = entry_of(line);
  if (!read.is_object()) {
    return Error{Cause::bad_data, fmt::format("{}: an entry about '{}' could not be read again",
                                              path_.string(), entry.text_or("token", ""))};
  }
  Status written = write_all(file_.get(), std::as_bytes(std::span(line)), path_);
  if (written) written = sync_descriptor(file_.get(), path_);
  if (written) {
    size_ += static_cast<int64_t>(line.size());
    apply(read);
    return {};
  }
  // Half a line (a full disk) would damage the ones after it.
  if (::ftruncate(file_.get(), size_) != 0) bug("the journal cannot be cut back after a failed write");
  return written;
}

Status Journal::set_epoch(int64_t epoch) { return append(epoch_entry(epoch)); }

Status Journal::put(const JobRecord& job) {
  Json entry = job_entry(job);
  if (!entry_of(line_of(entry)).is_object()) entry["result"] = Json();
  return append(entry);
}

Status Journal::forget(std::string_view token) {
  Json entry;
  entry["what"] = "forget";
  entry["token"] = token;
  return append(entry);
}

}  // namespace gnnflow
