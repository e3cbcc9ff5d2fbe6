// What engine tests share: scripted kinds of steps, hosts whose daemons live in the test, one store, one call
// that runs.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "orchestrator/engine/engine.h"
#include "orchestrator/engine/fingerprint.h"
#include "orchestrator/remote/daemon_link.h"
#include "orchestrator/store/store_reader.h"
#include "orchestrator/workflow/expression.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_host.h"
#include "tests/support/recording_observer.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {

// `copy`: a placement, `place` says part -> host. `make`: one task on `host` that publishes `thing`.
// `launch`: a service with a server on each of its hosts. `train`: a rank on each, which uses the service,
// publishes `model` and can be resumed. `exec`: as `make`, with a `card` that a person is told of.
class ScriptedStep final : public Step {
 public:
  explicit ScriptedStep(std::string kind) {
    schema_.kind = std::move(kind);
    for (const char* key : {"value", "epochs", "input", "servers", "more"})
      schema_.options.push_back(option(key));
    for (const char* key : {"host", "hosts", "file", "cores", "place", "checkpoint_copy"}) {
      schema_.options.push_back(option(key));
      schema_.options.back().in_key = false;
    }
    if (schema_.kind == "make") schema_.outputs = {{"thing", "thing", ""}, {"inside", "thing", "content"}};
    if (schema_.kind == "train") schema_.outputs = {{"model", "model", ""}};
    if (schema_.kind == "exec") schema_.outputs = {{"card", "card", "content"}};
    if (schema_.kind == "copy") schema_.outputs = {{"placed", "", ""}};
    if (schema_.kind == "launch") schema_.outputs = {{"servers", "", ""}};
  }
  const KindSchema& schema() const override { return schema_; }
  Nature nature() const override {
    if (schema_.kind == "copy") return Nature::placement;
    return schema_.kind == "launch" ? Nature::service : Nature::work;
  }
  Result<Holders> holders(const Scene& scene) const override {
    Holders holders;
    const Json& place = scene.step->options.get("place");
    if (!place.is_array()) return holders;
    for (const Json& host : place.array()) holders[static_cast<int>(holders.size())] = {host.string()};
    return holders;
  }
  std::string service(const Workflow&, const StepEntry& step) const override {
    for (const StepReference& reference : step.references) {
      if (reference.option == "servers") return reference.step;
    }
    return "";
  }
  std::vector<ContentPath> content(const Workflow& workflow, const StepEntry& step) const override {
    const std::string file = step.options.text_or("file", "");
    if (file.empty()) return {};
    return {{file, workflow.file.parent_path() / file}};
  }
  std::vector<std::string> not_in_resume_key() const override {
    return schema_.kind == "train" ? std::vector<std::string>{"epochs"} : std::vector<std::string>{};
  }
  Result<std::vector<TaskPlan>> tasks(const Scene& scene) const override {
    const StepEntry& step = *scene.step;
    std::vector<std::string> hosts{step.options.text_or("host", kController)};
    if (const Json& list = step.options.get("hosts"); list.is_array()) {
      hosts.clear();
      for (const Json& host : list.array()) hosts.push_back(host.string());
    }
    std::vector<TaskPlan> tasks;
    for (const std::string& host : hosts) {
      TaskPlan task;
      task.host = host;
      task.program = "worker";
      task.on_network = schema_.kind == "train" || schema_.kind == "launch";
      if (schema_.kind != "make")
        task.role = (schema_.kind == "launch" ? "server " : "rank ") + std::to_string(tasks.size());
      task.spec["kind"] = schema_.kind;
      task.spec["step"] = step.name;
      task.spec["options"] = step.options;
      task.spec["options"].object().erase("servers");  // no placement here that it could stand for
      task.cores =
          static_cast<int>(step.options.integer_or("cores", schema_.kind == "train" ? kAllCores : 0));
      if (tasks.empty() && schema_.kind != "launch") task.pieces = {schema_.outputs.front().piece};
      tasks.push_back(std::move(task));
    }
    return tasks;
  }
  bool has_ranks() const override { return schema_.kind == "train"; }
  bool comes_home() const override { return schema_.kind == "train"; }
  bool is_told() const override { return comes_home() || schema_.kind == "exec"; }

 private:
  static OptionSchema option(std::string key) {
    OptionSchema schema;
    schema.key = std::move(key);
    return schema;
  }
  KindSchema schema_;
};

// Lends a host that outlives the run.
class LentHost final : public Host {
 public:
  LentHost(Host& host, const std::function<void()>& on_put, const std::function<void()>& on_get,
           const std::map<std::string, Error>& cut_off)
      : host_(host), on_put_(on_put), on_get_(on_get), cut_off_(cut_off) {}
  const std::string& name() const override { return host_.name(); }
  fs::path root() const override { return host_.root(); }
  std::string address() const override { return host_.address(); }
  Status start_daemon(Milliseconds lease, Milliseconds grace, Deadline deadline) override {
    return host_.start_daemon(lease, grace, deadline);
  }
  Result<bool> daemon_alive() override { return host_.daemon_alive(); }
  Result<MessageLink> connect(Deadline deadline) override { return host_.connect(deadline); }
  Status put(const fs::path& from, const std::vector<HostFile>& files, const fs::path& to,
             const TransferProgress& progress, const StopSignal& stop) override {
    if (on_put_) on_put_();
    return host_.put(from, files, to, progress, stop);
  }
  Status get(const fs::path& from, const std::vector<HostFile>& files, const fs::path& to,
             const TransferProgress& progress, const StopSignal& stop) override {
    if (on_get_) on_get_();
    return host_.get(from, files, to, progress, stop);
  }
  Result<std::vector<bool>> check(const std::vector<HostFile>& files, const fs::path& at, bool digests,
                                  const StopSignal& stop) override {
    if (const auto why = cut_off_.find(name()); why != cut_off_.end()) return why->second;
    return host_.check(files, at, digests, stop);
  }
  Result<std::string> read(const fs::path& path, int64_t limit) override { return host_.read(path, limit); }
  Result<std::string> read_from(const fs::path& path, int64_t offset, int64_t limit) override {
    return host_.read_from(path, offset, limit);
  }
  std::string preparation() const override { return host_.preparation(); }

 private:
  Host& host_;
  const std::function<void()>& on_put_;
  const std::function<void()>& on_get_;
  const std::map<std::string, Error>& cut_off_;
};

class EngineBench {
 public:
  EngineBench() {
    for (const ScriptedStep* step : {&make_, &copy_, &launch_, &train_, &exec_})
      kinds.emplace(step->schema().kind, step);
    workflow.file = folder / "flow.yml";
    workflow.name = "flow";
    workflow.params = Json(Json::Object{});
    workflow.grace = Milliseconds(100);
    hosts_["controller"] = std::make_unique<FakeHost>("controller", folder.path());
    observer.on_tick = [this] {
      clock.advance(per_tick);
      if (on_tick) on_tick();
    };
  }

  // References are found in the options' texts; a step needs what it refers to.
  StepEntry& add(const std::string& name, const std::string& kind, Json::Object options = {}) {
    StepEntry entry;
    entry.name = name;
    entry.kind = kind;
    entry.lost_retries = 0;
    for (const auto& [key, value] : options) {
      if (!value.is_string()) continue;
      for (const TextPiece& piece : parse_text(value.string()).pieces) {
        if (!piece.is_reference) continue;
        entry.references.push_back({piece.reference.name, piece.reference.output, key});
        entry.needs.push_back(piece.reference.name);
      }
    }
    entry.options = Json(std::move(options));
    workflow.steps.push_back(std::move(entry));
    return workflow.steps.back();
  }
  StepEntry& step(const std::string& name) { return const_cast<StepEntry&>(*workflow.step(name)); }

  void add_host(const std::string& name) {
    HostEntry entry;
    entry.name = name;
    workflow.hosts.push_back(entry);
    hosts_[name] = std::make_unique<FakeHost>(name, folder.path());
  }
  // On another machine: only its Host sees its files.
  void add_far_host(const std::string& name, const std::string& address) {
    add_host(name);
    workflow.hosts.back().address = address;
    host(name).be_far(address);
  }
  void remove_host(const std::string& name) {
    std::erase_if(workflow.hosts, [&](const HostEntry& entry) { return entry.name == name; });
    hosts_.erase(name);
  }
  FakeHost& host(const std::string& name = "controller") { return *hosts_.at(name); }

  RunStore& store() {
    if (!store_) {
      auto opened = RunStore::open(folder / "state");
      if (!opened) bug(opened.error().message);
      store_.emplace(std::move(opened).value());
    }
    return *store_;
  }

  EngineSetup setup() {
    EngineSetup setup;
    setup.workflow = &workflow;
    setup.kinds = &kinds;
    setup.store = &store();
    setup.hosts = lend();
    setup.observer = &observer;
    setup.stop = &stop;
    setup.clock = &clock;
    setup.worker = worker;
    setup.tick = tick;
    setup.signals = [this] { return signals; };
    return setup;
  }
  int run() { return run_workflow(setup()); }
  int retry(std::vector<std::string> only) {
    EngineSetup wanted = setup();
    wanted.command = "retry";
    wanted.only = std::move(only);
    return run_workflow(std::move(wanted));
  }

  // Beside whoever holds the store, as the command does.
  std::vector<std::string> plan() {
    std::vector<std::string> lines;
    store();
    auto past = StoreReader::open(folder / "state");
    if (!past) return {past.error().message};
    auto planned = plan_workflow(workflow, kinds, &*past, lend());
    if (!planned) return {planned.error().message};
    for (const PlannedStep& one : *planned)
      lines.push_back(one.step + " " + one.decision + ": " + one.reason);
    return lines;
  }

  AttemptRow last(const std::string& name) {
    auto row = store().last_attempt(name);
    return row && *row ? **row : AttemptRow{};
  }

  std::string key_of(const std::string& name) {
    const std::map<std::string, Made, std::less<>> made;
    return fingerprint(kinds, {&workflow, workflow.step(name), &made}, {})->key;
  }

  // What an earlier controller left of a step: one task on a host, in these states.
  AttemptRow leave(const std::string& name, const std::string& key, AttemptState state, TaskState task_state,
                   const std::string& at = "controller") {
    RunStepRow decided;
    decided.step = name;
    decided.kind = workflow.step(name)->kind;
    RunRow run;
    run.command = "run";
    run.params = Json(Json::Object{});
    run.started_ms = 1;
    AttemptRow row;
    row.run = store().begin_run(run, {decided}).value();
    row.step = name;
    row.kind = decided.kind;
    row.key = key;
    row.inputs = Json(Json::Object{});
    row.started_ms = 1;
    row.number = store().next_attempt_number(name).value();
    TaskRow task;
    task.token = "old.1." + name + "." + std::to_string(row.number) + ".0";
    task.host = at;
    row.id = store().begin_attempt(row, {task}).value();
    task.attempt = row.id;
    if (task_state != TaskState::intent) {
      task.state = TaskState::started;
      task.started_ms = 1;
      EXPECT_TRUE(store().set_task(task));
    }
    if (task_state == TaskState::exited) {
      task.state = TaskState::exited;
      task.ended_ms = 2;
      EXPECT_TRUE(store().set_task(task));
    }
    for (const AttemptState next : {AttemptState::running, AttemptState::publishing}) {
      if (state < next) break;
      EXPECT_TRUE(store().set_attempt(row.id, next));
    }
    row.state = state;
    return row;
  }

  // Starts a job as an earlier controller did, which then went away.
  void start_job(const std::string& at, const std::string& token) {
    FakeHost& on = host(at);
    ASSERT_TRUE(on.start_daemon({}, {}, Deadline::never()));
    auto link = DaemonLink::open(
        on, {store().epoch(), "", {}, {}}, [](const std::string&, Message) {},
        Deadline::after(Milliseconds(5000)));
    ASSERT_TRUE(link) << link.error().message;
    Json spec;
    spec["kind"] = "make";
    ASSERT_TRUE((*link)->order(message_of("start", {{"token", token}, {"program", "worker"}, {"spec", spec}}),
                               Deadline::after(Milliseconds(5000))));
  }

  TempDir folder;
  Workflow workflow;
  StepKinds kinds;
  FakeClock clock;
  Milliseconds per_tick{0};  // how far the clock goes with each turn of the loop
  Milliseconds tick{100};    // how long such a turn waits at most
  std::function<void()> on_tick;
  std::function<void()> on_put;          // before files are sent to a host, on its thread
  std::function<void()> on_get;          // before they are fetched from one, the same
  std::map<std::string, Error> cut_off;  // hosts whose files cannot be reached, and why; set before a run
  RecordingObserver observer;
  StopSignal stop;
  int signals = 0;  // that came so far
  fs::path worker;  // lists the files of a part

  std::vector<std::unique_ptr<Host>> lend() {
    std::vector<std::unique_ptr<Host>> lent;
    for (auto& [name, host] : hosts_)
      lent.push_back(std::make_unique<LentHost>(*host, on_put, on_get, cut_off));
    return lent;
  }
  RunStatus status() {
    store();
    auto reader = StoreReader::open(folder / "state");
    auto status = reader ? reader->status() : Result<RunStatus>(reader.error());
    if (!status) bug(status.error().message);
    return std::move(status).value();
  }
  StepStatus status_of(const std::string& name) {
    for (const StepStatus& step : status().steps) {
      if (step.row.step == name) return step;
    }
    return {};
  }
  HostRow stored_host(const std::string& name = "controller") {
    auto reader = StoreReader::open(folder / "state");
    const std::vector<HostRow> rows = reader->hosts().value_or({});
    for (const HostRow& row : rows) {
      if (row.name == name) return row;
    }
    return {};
  }

 private:
  ScriptedStep make_{"make"}, copy_{"copy"}, launch_{"launch"}, train_{"train"}, exec_{"exec"};
  std::map<std::string, std::unique_ptr<FakeHost>> hosts_;
  std::optional<RunStore> store_;
};

// A job that makes the piece and ends well; one that does not end by itself; one that fails.
inline FakeJob makes(const std::string& piece, const std::string& content) {
  FakeJob job;
  job.files[piece + "/content"] = content;
  return job;
}
inline FakeJob goes_on() {
  FakeJob job;
  job.code = std::nullopt;
  return job;
}
inline FakeJob fails(Cause cause, const std::string& message) {
  FakeJob job;
  job.code = exit_code(cause);
  job.cause = name_of(cause);
  job.message = message;
  job.tail = "last words";
  return job;
}

}  // namespace gnnflow
