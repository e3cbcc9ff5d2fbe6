// Starting a job's process, and the words for what happens to it.
#include "worker/daemon/job.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include "common/wire/message_of.h"
#include "worker/daemon/stored_files.h"

namespace gnnflow {
namespace {

constexpr size_t kTailLines = 50;

}  // namespace

bool RestartBudget::take(Monotonic now) {
  while (!recent_.empty() && now - recent_.front() > window_) recent_.pop_front();
  if (static_cast<int64_t>(recent_.size()) >= most_) return false;
  recent_.push_back(now);
  ++taken_;
  return true;
}

Status spawn_shim(const HostFolder& host, Job& job, std::function<void()> wake) {
  const std::string& token = job.record.token;
  TRY(auto ends, make_socket_pair());
  ChildOptions options;
  options.argv = program_command(own_program());
  const std::vector<std::string> words = {"job",
                                          "--token",
                                          token,
                                          "--program",
                                          job.record.program,
                                          "--kind",
                                          job.record.kind,
                                          "--task",
                                          host.task_file(token).string(),
                                          "--parent",
                                          std::to_string(::getpid())};
  options.argv.insert(options.argv.end(), words.begin(), words.end());
  options.environment["GNNFLOW_TOKEN"] = token;
  // Trainers share cores with their loaders and with graph servers: who waits for others must not keep a core
  // busy.
  if (job.record.program == "trainer") options.environment["OMP_WAIT_POLICY"] = "passive";
  options.working_folder = host.job(token);
  options.output = host.log(token);
  options.descriptors = {{ends.second.get(), 3}};
  TRY(job.process, ChildProcess::start(options));
  job.channel = std::make_shared<Channel>(std::move(ends.first), ChannelLimits{}, std::move(wake));
  job.channel_ended = false;
  job.record.process = job.process->identity();
  job.record.state = JobState::started;
  return {};
}

Status tell_go(Job& job) {
  bool told = job.channel->send(message_of("go"));
  if (job.server) {
    told = told && job.channel->send(message_of("keys", {{"public", job.server->keys.public_key},
                                                         {"secret", job.server->keys.secret_key},
                                                         {"port", job.server->port}}));
    if (job.server->allow) told = told && job.channel->send(*job.server->allow);
  }
  if (told) return {};
  return Error{Cause::failed, fmt::format("{} ended before it was told to go on", job.record.token)};
}

void kill_group(ChildProcess& process) {
  process.signal_group(SIGKILL);
  process.signal(SIGKILL);
}

Message event_of(std::string_view token, std::string_view event) {
  return message_of("event", {{"token", token}, {"event", event}});
}

Message report_event(std::string_view token, const Message& report) {
  Message message = event_of(token, "report");
  message.head["message"] = report.head;
  message.body = report.body;
  return message;
}

Message exited_event(const HostFolder& host, const JobRecord& job) {
  Message message = event_of(job.token, "exited");
  message.head["state"] = name_of(job.state);
  message.head["code"] = job.code;
  message.head["signal"] = job.signal;
  message.head["cause"] = job.cause;
  message.head["message"] = job.message;
  message.head["tail"] = last_lines(host, job.token, kTailLines);
  return message;
}

}  // namespace gnnflow
