// All jobs of a daemon: started, heard, cancelled, restarted, ended and recorded.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/result.h"
#include "worker/daemon/beats.h"
#include "worker/daemon/errands.h"
#include "worker/daemon/host_folder.h"
#include "worker/daemon/job.h"
#include "worker/daemon/journal.h"
#include "worker/daemon/watch.h"

namespace gnnflow {

struct JobsSetting {
  const HostFolder& host;
  Journal& journal;
  Beats& beats;
  Inbox& inbox;
  Errands& sweeps;
  std::function<void(const Message&)> tell;  // events, to the controller if there is one
  // Others in tests only.
  std::function<Status(const HostFolder&, Job&, std::function<void()>)> spawn = spawn_shim;
  std::function<void(ChildProcess&)> kill = kill_group;
  Milliseconds unkillable{20'000};  // a process that was killed so long ago and is still there is given up
};

// Use from the daemon's loop, on the thread that lives as long as the daemon: it starts all jobs.
class Jobs {
 public:
  explicit Jobs(JobsSetting setting);

  // Put if absent. The state of the one that is there, or was started.
  Result<JobState> start(const std::string& token, const std::string& program, Json spec);
  Status forward(std::string_view token, const Message& message);
  void cancel(std::string_view token, Milliseconds grace);
  void kill(std::string_view token);
  Status acknowledge(std::string_view token);
  void cancel_all(Milliseconds grace);
  // Starts nothing any more.
  void close() { closed_ = true; }

  const Job* find(std::string_view token) const;
  bool was_acknowledged(std::string_view token) const { return acknowledged_.contains(token); }
  bool none_live() const;
  Json list() const;                         // of the greeting
  std::vector<Message> kept_events() const;  // to tell again after a greeting

  void add_watches(std::vector<Watch>& watches);
  void do_what_is_due();
  Milliseconds until_due() const;

 private:
  using JobPointer = std::shared_ptr<Job>;
  Result<JobPointer> prepare(const std::string& token, const std::string& program, Json spec);
  Status launch(Job& job);
  void hear(const JobPointer& job);
  void take_report(Job& job, const Message& report);
  void on_end(const JobPointer& job);
  bool restart(const JobPointer& job);
  void finish(const JobPointer& job);
  void record_end(Job& job);
  void end_now(Job& job, std::string_view reason);
  void give_up(const JobPointer& job);

  JobsSetting setting_;
  std::map<std::string, JobPointer, std::less<>> jobs_;
  std::set<std::string, std::less<>> acknowledged_;
  bool closed_ = false;
  std::vector<ChildProcess> given_up_;
};

}  // namespace gnnflow
