// The life of jobs, from the order to start to the recorded end.
#include "worker/daemon/jobs.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <signal.h>

#include "common/base/digest.h"
#include "common/base/incoming.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "worker/daemon/gone.h"
#include "worker/daemon/stored_files.h"

namespace gnnflow {
namespace {

constexpr std::array<std::string_view, 3> kPrograms = {"worker", "trainer", "exec"};
constexpr int64_t kRestarts = 3, kRestartWindow = 600'000;
constexpr Milliseconds kLookEvery{
    1000};  // at channels that are not read, at logs, at ends that could not be recorded
constexpr Milliseconds kSweep{10'000};
constexpr Milliseconds kAfterHangUp{10'000};
constexpr size_t kMostResultBytes = 64 << 10;

bool would_fail_again(const std::optional<Error>& failure) {
  constexpr std::array kLasting = {Cause::bad_usage, Cause::bad_workflow, Cause::not_found, Cause::bad_data,
                                   Cause::bug};
  return failure && std::find(kLasting.begin(), kLasting.end(), failure->cause) != kLasting.end();
}

Error bad_start(std::string_view token, std::string_view what) {
  return {Cause::bad_data, fmt::format("start of {}: {}", token, what)};
}

}  // namespace

Jobs::Jobs(JobsSetting setting) : setting_(std::move(setting)) {
  for (const auto& [token, record] : setting_.journal.jobs()) {
    auto job = std::make_shared<Job>();
    job->record = record;
    jobs_[token] = std::move(job);
  }
}

const Job* Jobs::find(std::string_view token) const {
  auto job = jobs_.find(token);
  return job == jobs_.end() ? nullptr : job->second.get();
}

bool Jobs::none_live() const {
  return std::none_of(jobs_.begin(), jobs_.end(), [](const auto& entry) { return entry.second->live(); });
}

Result<JobState> Jobs::start(const std::string& token, const std::string& program, Json spec) {
  TRY(check_token(token));
  if (const Job* there = find(token)) return there->record.state;
  if (acknowledged_.contains(token)) return JobState::exited;
  if (closed_) return Error{Cause::temporary, "this daemon is ending: start another"};
  TRY(JobPointer job, prepare(token, program, std::move(spec)));
  if (Status started = launch(*job); !started) {
    job->process.reset();
    if (Status forgotten = setting_.journal.forget(token); !forgotten) return std::move(forgotten).error();
    return std::move(started).error();
  }
  jobs_[token] = job;
  Message event = event_of(token, "started");
  event.head["pid"] = job->record.process.pid;
  event.head["start_time"] = job->record.process.start_time;
  setting_.tell(event);
  return job->record.state;
}

Result<Jobs::JobPointer> Jobs::prepare(const std::string& token, const std::string& program, Json spec) {
  if (std::find(kPrograms.begin(), kPrograms.end(), program) == kPrograms.end()) {
    return bad_start(token, fmt::format("'{}' is no program", program));
  }
  std::string kind = spec.text_or("kind", "");
  if (!is_name(kind)) return bad_start(token, fmt::format("'{}' is no kind", kind));
  std::string checkpoints = spec.text_or("checkpoints", "");
  if (!checkpoints.empty()) {
    fs::path below = fs::path(checkpoints + "/.").lexically_normal().parent_path();
    TRY(path_below(setting_.host.root,
                   "checkpoints" / below.lexically_relative(setting_.host.checkpoints())));
  }
  // Where it may write is this daemon's to say.
  spec["token"] = token;
  spec["folder"] = setting_.host.job(token).string();
  auto job = std::make_shared<Job>();
  job->spec = std::move(spec);
  job->record.token = token;
  job->record.program = program;
  job->record.kind = kind;
  if (kind == "serve") {
    TRY(KeyPair keys, make_key_pair());
    RestartBudget budget(job->spec.integer_or("restarts", kRestarts),
                         Milliseconds(job->spec.integer_or("restart_window_ms", kRestartWindow)));
    job->server.emplace(ServerIdentity{keys, job->spec.integer_or("port", 0), std::nullopt, budget});
  }
  std::string text = job->spec.dump();
  job->record.task = digest_of(text);
  TRY(create_folders(setting_.host.job(token), 0700));
  TRY(create_folders(setting_.host.job(token) / "out"));
  TRY(write_file_atomically(setting_.host.task_file(token), text, 0600));
  return job;
}

// Journal, shim, journal, GO: whatever dies in between, the journal knows the token before the token runs.
Status Jobs::launch(Job& job) {
  job.record.state = JobState::intent;
  TRY(setting_.journal.put(job.record));
  TRY(setting_.spawn(setting_.host, job, [&inbox = setting_.inbox] { inbox.wake(); }));
  TRY(setting_.journal.put(job.record));
  if (Status told = tell_go(job); !told) log_warning("{}", told.error().message);
  setting_.beats.add(job.channel);
  return {};
}

Status Jobs::forward(std::string_view token, const Message& message) {
  auto found = jobs_.find(token);
  if (found == jobs_.end()) return Error{Cause::not_found, fmt::format("forward: no job {}", token)};
  Job& job = *found->second;
  std::string type = message.type();
  if (type.empty() || type == "go" || type == "keys") {
    return Error{Cause::bad_data, fmt::format("forward: '{}' is not for a controller to send", type)};
  }
  if (type == "allow" && job.server) job.server->allow = message;
  if (type == "store_reply") job.kept.answered(message.head.integer_or("request", -1));
  if (!job.process) return Error{Cause::not_found, fmt::format("forward: {} has ended", token)};
  if (!job.channel->send(message))
    return Error{Cause::unreachable, fmt::format("forward: {} does not read", token)};
  return {};
}

void Jobs::cancel(std::string_view token, Milliseconds grace) {
  auto found = jobs_.find(token);
  if (found == jobs_.end()) return;
  Job& job = *found->second;
  bool first = !job.cancelled;
  job.cancelled = true;
  if (!job.process || !first) return;
  Message cancel;
  cancel.head["type"] = "cancel";
  job.channel->send(cancel);
  job.process->signal_group(SIGTERM);
  Monotonic at = system_clock().now() + grace;
  job.kill_at = job.kill_at ? std::min(*job.kill_at, at) : at;
}

void Jobs::cancel_all(Milliseconds grace) {
  for (auto& [token, job] : jobs_) cancel(token, grace);
}

void Jobs::kill(std::string_view token) {
  auto found = jobs_.find(token);
  if (found == jobs_.end() || !found->second->live()) return;
  found->second->cancelled = found->second->discarded = true;
  end_now(*found->second, "killed because its results are not wanted");
}

Status Jobs::acknowledge(std::string_view token) {
  auto found = jobs_.find(token);
  if (found == jobs_.end()) return {};
  if (found->second->live() && found->second->discarded) {
    found->second->forget_when_ended = true;
    return {};
  }
  if (found->second->live())
    return Error{Cause::bad_data, fmt::format("acknowledge: {} has not ended", token)};
  TRY(setting_.journal.forget(token));
  acknowledged_.insert(found->first);
  jobs_.erase(found);
  return {};
}

Json Jobs::list() const {
  Json list(Json::Array{});
  for (const auto& [token, job] : jobs_) {
    Json row;
    row["token"] = token;
    row["state"] = name_of(job->record.state);
    row["code"] = job->record.code;
    row["signal"] = job->record.signal;
    list.push_back(std::move(row));
  }
  return list;
}

std::vector<Message> Jobs::kept_events() const {
  std::vector<Message> events;
  for (const auto& [token, job] : jobs_) {
    for (const Message& report : job->kept.in_order()) events.push_back(report_event(token, report));
    if (!job->kept.has("result") && job->record.result.is_object()) {
      events.push_back(report_event(token, Message{job->record.result, ""}));
    }
    if (is_final(job->record.state)) events.push_back(exited_event(setting_.host, job->record));
  }
  return events;
}

void Jobs::add_watches(std::vector<Watch>& watches) {
  for (auto& [token, job] : jobs_) {
    if (!job->process || job->end) continue;
    watches.push_back({job->process->descriptor(), POLLIN, [this, job = job](short) { on_end(job); }});
    if (job->channel_ended) continue;
    short events = POLLIN;
    if (job->channel->wants_to_write()) events |= POLLOUT;
    watches.push_back({job->channel->descriptor(), events, [this, job = job](short ready) {
                         if (ready & POLLOUT) job->channel->flush();
                         if (ready & ~POLLOUT) hear(job);
                       }});
  }
}

void Jobs::hear(const JobPointer& job) {
  if (job->channel_ended) return;
  Channel::Received received = job->channel->receive();
  for (const Message& report : received.messages) take_report(*job, report);
  if (!received.end) return;
  job->channel_ended = true;
  setting_.beats.remove(job->channel);
  if (received.end->cause == Cause::bad_data) end_now(*job, "its channel: " + received.end->message);
  if (job->channel->cut_off()) end_now(*job, "it does not read its channel");
  // A process that closed its channel is about to end; one that is not can no longer be told anything.
  if (job->process && !job->kill_at) job->kill_at = system_clock().now() + kAfterHangUp;
}

void Jobs::take_report(Job& job, const Message& report) {
  if (report.type() == "failure") {
    Cause cause = cause_named(report.head.text_or("cause", "")).value_or(Cause::failed);
    if (!job.failure) job.failure = Error{cause, report.head.text_or("message", "")};
    return;
  }
  if (!job.kept.keep(report)) {
    log_warning("{}: report of unknown type '{}'", job.record.token, report.type());
    return;
  }
  if (report.type() == "ready" && job.server)
    job.server->port = report.head.integer_or("port", job.server->port);
  setting_.tell(report_event(job.record.token, report));
}

void Jobs::end_now(Job& job, std::string_view reason) {
  if (!job.process || job.end) return;
  if (!job.failure) job.failure = Error{Cause::failed, std::string(reason)};
  job.kill_at.reset();
  if (!job.killed_at) job.killed_at = system_clock().now();
  setting_.kill(*job.process);
}

// A process that waits inside the kernel, for a disk that is gone, does not even hear SIGKILL. Whoever waits
// for its end is told how it is; what carries the token is still looked for before anything is started in its
// place.
void Jobs::give_up(const JobPointer& job) {
  job->failure =
      Error{Cause::failed,
            fmt::format("process {} was killed and does not end: the kernel holds it", job->process->pid())};
  log_error("{}: {}", job->record.token, job->failure->message);
  setting_.beats.remove(job->channel);
  job->channel_ended = job->cancelled = true;
  job->end = ExitState{0, SIGKILL};
  given_up_.push_back(*std::move(job->process));
  finish(job);
}

void Jobs::on_end(const JobPointer& job) {
  if (!job->process || job->end) return;
  std::optional<ExitState> state = job->process->wait(Deadline::after(Milliseconds(0)));
  if (!state) return;
  // What it said last, before anything is told about its end.
  while (!job->channel_ended) {
    Channel::Received received = job->channel->receive();
    for (const Message& report : received.messages) take_report(*job, report);
    if (!received.more) break;
  }
  job->channel_ended = true;
  setting_.beats.remove(job->channel);
  // It is not reaped yet, so the group's number is still its own.
  job->process->signal_group(SIGKILL);
  job->end = *state;
  job->kill_at.reset();
  job->killed_at.reset();
  // One that went well left nothing; one that ended itself in a hurry may have.
  if (state->good()) return finish(job);
  setting_.sweeps.add([this, job, &host = setting_.host, &inbox = setting_.inbox] {
    Status swept = end_everything(host, job->record.token, Deadline::after(kSweep));
    if (!swept) log_error("{}", swept.error().message);
    inbox.post([this, job, swept] {
      if (!swept && !job->failure) job->failure = swept.error();
      finish(job);
    });
  });
}

bool Jobs::restart(const JobPointer& job) {
  if (!job->server || job->cancelled || closed_ || would_fail_again(job->failure)) return false;
  if (!job->server->budget.take(system_clock().now())) return false;
  std::string how = job->end->text();
  job->process.reset();
  job->end.reset();
  job->failure.reset();
  if (Status launched = launch(*job); !launched) {
    job->process.reset();
    job->end = ExitState{exit_code(launched.error().cause), 0};
    job->failure = launched.error();
    return false;
  }
  log_warning("{}: {}, started again", job->record.token, how);
  Message event = event_of(job->record.token, "restarted");
  event.head["count"] = job->server->budget.taken();
  event.head["message"] = how;
  setting_.tell(event);
  return true;
}

void Jobs::finish(const JobPointer& job) {
  if (restart(job)) return;
  job->process.reset();
  JobRecord& record = job->record;
  record.state = job->end->signal ? JobState::killed : JobState::exited;
  record.code = job->end->code;
  record.signal = job->end->signal;
  if (job->failure && !job->end->good()) {
    record.cause = name_of(job->failure->cause);
    record.message = job->failure->message;
  }
  const Message* result = job->kept.last("result");
  if (result && result->head.dump().size() <= kMostResultBytes) record.result = result->head;
  record_end(*job);
}

// Recorded, then told. A full disk makes it wait, and the controller with it.
void Jobs::record_end(Job& job) {
  if (Status recorded = setting_.journal.put(job.record); !recorded) {
    log_error("recording the end of {}: {}", job.record.token, recorded.error().message);
    return;
  }
  job.end.reset();
  setting_.tell(exited_event(setting_.host, job.record));
  if (!job.forget_when_ended) return;
  setting_.inbox.post([this, token = job.record.token] {
    if (Status forgotten = acknowledge(token); !forgotten) log_warning("{}", forgotten.error().message);
  });
}

void Jobs::do_what_is_due() {
  Monotonic now = system_clock().now();
  for (const auto& [token, job] : jobs_) {
    if (job->end && !job->process) record_end(*job);
    if (!job->process || job->end) continue;
    job->channel->check_progress(now);
    if (!job->channel_ended && job->channel->cut_off()) end_now(*job, "it does not read its channel");
    if (job->kill_at && now >= *job->kill_at) end_now(*job, "killed after the time of grace");
    if (job->killed_at && now - *job->killed_at >= setting_.unkillable) give_up(job);
    cap_log(setting_.host.log(token), kJobLogLimits);
  }
}

Milliseconds Jobs::until_due() const {
  Monotonic now = system_clock().now(), at = now + kLookEvery;
  for (const auto& [token, job] : jobs_) {
    if (job->kill_at) at = std::min(at, *job->kill_at);
  }
  return none_live() ? Milliseconds::max()
                     : std::max(Milliseconds(0), std::chrono::ceil<Milliseconds>(at - now));
}

}  // namespace gnnflow
