// What engine tests share: scripted kinds of steps, hosts whose daemons live in the test, one store, one call that runs.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "orchestrator/engine/engine.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_host.h"
#include "tests/support/recording_observer.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {

// `make`: one task on `host` that publishes `thing`. `launch`: a service with a server on each of its hosts. `train`: a rank on
// each, which uses the service, publishes `model` and can be resumed.
class ScriptedStep final : public Step {
 public:
  explicit ScriptedStep(std::string kind);
  const KindSchema& schema() const override { return schema_; }
  Nature nature() const override { return schema_.kind == "launch" ? Nature::service : Nature::work; }
  std::string service(const Workflow& workflow, const StepEntry& step) const override;
  std::vector<ContentPath> content(const Workflow& workflow, const StepEntry& step) const override;
  std::vector<std::string> not_in_resume_key() const override;
  Result<std::vector<TaskPlan>> tasks(const Scene& scene) const override;
  bool has_ranks() const override { return schema_.kind == "train"; }
  bool comes_home() const override { return schema_.kind == "train"; }

 private:
  KindSchema schema_;
};

// Lends a host that outlives the run.
class LentHost final : public Host {
 public:
  explicit LentHost(Host& host) : host_(host) {}
  const std::string& name() const override { return host_.name(); }
  fs::path root() const override { return host_.root(); }
  Status start_daemon(Milliseconds lease, Milliseconds grace, Deadline deadline) override {
    return host_.start_daemon(lease, grace, deadline);
  }
  Result<bool> daemon_alive() override { return host_.daemon_alive(); }
  Result<MessageLink> connect(Deadline deadline) override { return host_.connect(deadline); }
  Status put(const fs::path& from, const std::vector<HostFile>& files, const fs::path& to, const TransferProgress& progress,
             const StopSignal& stop) override {
    return host_.put(from, files, to, progress, stop);
  }
  Status get(const fs::path& from, const std::vector<HostFile>& files, const fs::path& to, const TransferProgress& progress,
             const StopSignal& stop) override {
    return host_.get(from, files, to, progress, stop);
  }
  Result<std::vector<bool>> check(const std::vector<HostFile>& files, const fs::path& at, bool digests) override {
    return host_.check(files, at, digests);
  }
  Result<std::string> read(const fs::path& path, int64_t limit) override { return host_.read(path, limit); }

 private:
  Host& host_;
};

class EngineBench {
 public:
  EngineBench();

  // Steps of the workflow; references are found in the options' texts.
  StepEntry& add(const std::string& name, const std::string& kind, Json::Object options = {});
  StepEntry& step(const std::string& name);
  FakeHost& host(const std::string& name = "controller") { return *hosts_.at(name); }
  void add_host(const std::string& name);
  RunStore& store();  // opened, and opened again after a run
  int run();
  std::vector<PlannedStep> plan();
  std::vector<std::unique_ptr<Host>> lend();
  AttemptRow last(const std::string& step);  // its last attempt
  // An attempt that an earlier controller left in this state, with one task on the host.
  AttemptRow leave_attempt(const std::string& step, const std::string& key, AttemptState state, const std::string& host = "controller");
  std::string token_of(const AttemptRow& attempt);
  // Starts a job on the host as an earlier controller did.
  void start_job(const std::string& host, const std::string& token);

  TempDir folder;
  Workflow workflow;
  StepKinds kinds;
  FakeClock clock;
  Milliseconds per_tick{0};  // how far the clock goes with each turn of the loop
  RecordingObserver observer;
  StopSignal stop;

 private:
  ScriptedStep make_{"make"}, launch_{"launch"}, train_{"train"};
  std::map<std::string, std::unique_ptr<FakeHost>> hosts_;
  std::optional<RunStore> store_;
  std::function<void()> on_tick_;
};

// A job that makes the piece with this content and ends well.
FakeJob makes(const std::string& piece, const std::string& content);
// ... that does not end by itself.
FakeJob runs();
FakeJob fails(int code, const std::string& cause, const std::string& message);

}  // namespace gnnflow
