// One attempt of a step: bringing what it reads, choosing the checkpoint to go on from, starting its tasks.
#include <algorithm>

#include "common/base/digest.h"
#include "common/base/text.h"
#include "orchestrator/engine/attempt.h"
#include "orchestrator/workflow/expression.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kStartLimit{30'000};
constexpr Milliseconds kAskAgain{500};

// Which published pieces a step reads: what it refers to.
std::vector<Piece> pieces_read(const Workbench& bench, const StepEntry& step) {
  std::vector<Piece> pieces;
  for (const StepReference& reference : step.references) {
    const StepEntry* from = bench.workflow.step(reference.step);
    const auto made = bench.made.find(reference.step);
    if (!from || made == bench.made.end()) continue;
    const auto output = bench.kinds.at(from->kind)->output(*from, reference.output);
    const Piece* piece = output ? made->second.piece(output->piece) : nullptr;
    if (piece) pieces.push_back(*piece);
  }
  return pieces;
}

// Below the ports that systems give out by themselves; another one for each attempt.
int64_t meeting_port(const std::string& token) {
  constexpr int64_t kFirstPort = 20'000, kPorts = 10'000;
  int64_t number = 0;
  for (const char digit : digest_of(token).substr(0, 12))
    number = number * 16 + (digit <= '9' ? digit - '0' : digit - 'a' + 10);
  return kFirstPort + number % kPorts;
}

}  // namespace

// Brings all that the tasks read to their hosts; what is there already costs nothing.
void Attempt::prepare() {
  phase_ = Phase::preparing;
  open_ = 1;
  const auto pieces = pieces_read(bench_, *step_);
  for (Task& task : tasks_) {
    const std::string& host = task.row.host;
    std::vector<Piece> wanted = pieces;
    for (const TaskInput& input : task.plan.inputs) {
      const auto made = bench_.made.find(input.step);
      const Piece* piece = made == bench_.made.end() ? nullptr : made->second.piece(input.piece);
      if (piece) wanted.push_back(*piece);
    }
    for (const Piece& piece : wanted) {
      ++open_;
      bench_.artifacts.bring(host, piece, [this](Result<fs::path> path) { prepared(std::move(path)); });
    }
    for (const LocalInput& input : task.plan.local_inputs) {
      const std::string name = input.name.empty() ? input.to : input.name;
      ++open_;
      bench_.artifacts.bring_local(host, input.from, row_.inputs.get("files").text_or(name, ""),
                                   [this, &task, name](Result<fs::path> path) {
                                     if (path) task.local[name] = *path;
                                     prepared(std::move(path));
                                   });
    }
  }
  if (const auto hosts = network_hosts(); !hosts.empty()) {
    ++open_;
    bench_.network.prepare(hosts, [this](Result<DataAddresses> addresses) {
      if (!addresses) return prepared(std::move(addresses).error());
      addresses_ = std::move(addresses).value();
      prepared(fs::path());
    });
  }
  prepared(fs::path());
}

void Attempt::prepared(Result<fs::path> result) {
  if (phase_ != Phase::preparing) return;
  if (!result) {
    const bool lost = result.error().cause == Cause::unreachable || result.error().cause == Cause::temporary;
    return fail(
        {lost ? AttemptState::lost : AttemptState::failed, result.error().cause, result.error().message, ""});
  }
  if (--open_ == 0) choose_checkpoint();
}

// Of the servers that it uses and of itself: all of them must hear each other.
std::set<std::string> Attempt::network_hosts() const {
  std::set<std::string> hosts;
  bool needed = false;
  for (const Task& task : tasks_) {
    // What an earlier controller started has its address: a link that is down just now does not end it.
    needed |= task.plan.on_network && !(joined_ && task.row.state != TaskState::intent);
    hosts.insert(task.row.host);
  }
  if (!needed) return {};
  const std::string service = is_service() ? step_->name : kind_->service(bench_.workflow, *step_);
  if (const auto made = bench_.made.find(service); made != bench_.made.end()) {
    for (const auto& [part, holders] : made->second.holders) hosts.insert(holders.begin(), holders.end());
  }
  return hosts;
}

// A training goes on from the newest checkpoint that can be had and does not go beyond the wanted epochs.
void Attempt::choose_checkpoint() {
  const bool started = joined_ && !tasks_.empty() && tasks_.front().row.state != TaskState::intent;
  if (!checkpoints_ || tasks_.empty() || started) return start_all();
  const int64_t wanted = step_->options.integer_or("epochs", 0);
  checkpoints_->find(tasks_.front().row.host, wanted, [this](Result<Checkpoints::Found> found) {
    if (phase_ != Phase::preparing) return;
    if (found) return resume_from(std::move(found).value());
    if (found.error().cause != Cause::unreachable) {
      bench_.observer.note(step_->name + ": looking for checkpoints: " + found.error().message);
      return resume_from({});
    }
    bench_.timers.after(kAskAgain, [this] {
      if (phase_ == Phase::preparing) choose_checkpoint();
    });
  });
}

void Attempt::resume_from(Checkpoints::Found found) {
  candidates_ = std::move(found);
  resume_from_next();
}

void Attempt::resume_from_next() {
  if (candidates_.empty()) return start_from_the_beginning();
  const FoundCheckpoint next = candidates_.front();
  candidates_.erase(candidates_.begin());
  const std::string host = tasks_.front().row.host;
  const std::string epoch = "epoch " + std::to_string(next.epoch);
  const bool elsewhere = !next.result && next.host != host;
  const std::string from = elsewhere ? ", from the checkpoint on " + next.host : "";
  checkpoints_->bring(host, next, [this, epoch, from](Result<fs::path> path) {
    if (phase_ != Phase::preparing) return;
    if (path) {
      resume_path_ = path->string();
      resumed_ = "goes on from " + epoch + from;
      return start_all();
    }
    passed_over_ = true;
    bench_.observer.note(step_->name + ": the checkpoint of " + epoch +
                         " cannot be had: " + path.error().message);
    resume_from_next();
  });
}

// Said only when somebody could have expected something else.
void Attempt::start_from_the_beginning() {
  const auto& silent = checkpoints_->out_of_reach();
  const std::vector<std::string> hosts(silent.begin(), silent.end());
  if (!hosts.empty()) {
    resumed_ =
        "starts from the beginning: its checkpoints are on " + join(hosts, ", ") + ", which cannot be asked";
  } else if (passed_over_) {
    resumed_ = "starts from the beginning: no checkpoint could be had";
  }
  start_all();
}

void Attempt::start_all() {
  phase_ = Phase::running;
  if (!resumed_.empty() && row_.state == AttemptState::intent) {
    bench_.observer.note(step_->name + ": " + resumed_);
    bench_.commit(bench_.store.add_event(bench_.run, step_->name, resumed_));
  }
  if (checkpoints_ && !tasks_.empty()) checkpoints_->may_be_on(tasks_.front().row.host);
  for (size_t i = 0; i < tasks_.size(); ++i) {
    if (!tasks_[i].ended && phase_ == Phase::running) start(static_cast<int>(i));
  }
  if (phase_ == Phase::running && all_ended()) publish();
}

void Attempt::start(int index) {
  Task& task = tasks_[index];
  auto spec = spec_of(task);
  if (!spec) return fail({AttemptState::failed, spec.error().cause, spec.error().message, ""});
  task.asked = task.waiting = true;
  Message order;
  order.head["type"] = "start";
  order.head["token"] = task.row.token;
  order.head["program"] = task.plan.program;
  order.head["spec"] = *spec;
  bench_.pool.order(task.row.host, std::move(order), kStartLimit,
                    [this, index](Result<Message> answer) { start_answered(index, std::move(answer)); });
}

void Attempt::start_answered(int index, Result<Message> answer) {
  Task& task = tasks_[index];
  task.waiting = false;
  if (task.ended || phase_ >= Phase::cleaning) return;
  if (!answer) {
    if (answer.error().cause == Cause::unreachable) return again(index);
    Json said;
    said["cause"] = name_of(answer.error().cause);
    said["message"] = "could not be started: " + answer.error().message;
    return task_ended(index, exit_code(answer.error().cause), 0, said);
  }
  task.answered = true;
  const std::string state = answer->head.text_or("state", "");
  if (state != "intent" && state != "started") return ask(index);
  if (task.row.state != TaskState::started) store_started(task);
  if (ending()) stop_task(index);
}

void Attempt::store_started(Task& task) {
  task.row.state = TaskState::started;
  if (task.row.started_ms == 0) task.row.started_ms = bench_.clock.unix_milliseconds();
  task.row.last_seen_ms = bench_.clock.unix_milliseconds();
  bench_.together([&] {
    bench_.commit(bench_.store.set_task(task.row));
    if (ending() || row_.state != AttemptState::intent) return;
    row_.state = AttemptState::running;
    bench_.commit(bench_.store.set_attempt(row_.id, row_.state));
  });
}

int Attempt::threads_of(const Task& task) const {
  if (task.plan.cores > 0) return task.plan.cores;
  if (task.plan.cores == 0) return 1;
  const std::string machine = bench_.pool.greeting(task.row.host).text_or("boot", task.row.host);
  int sharing = 0;
  for (const Task& other : tasks_) {
    const std::string theirs = bench_.pool.greeting(other.row.host).text_or("boot", other.row.host);
    sharing += other.plan.cores == kAllCores && theirs == machine;
  }
  return std::max(1, bench_.cores.of(machine) / std::max(1, sharing));
}

// Where `${steps.<step>.<output>}` is on the host.
Result<std::string> Attempt::path_on(const std::string& host, std::string_view step,
                                     std::string_view output) const {
  const StepEntry* from = bench_.workflow.step(step);
  const auto made = bench_.made.find(step);
  if (!from || made == bench_.made.end())
    return Error{Cause::bug, "step " + std::string(step) + " is not made"};
  const auto place = bench_.kinds.at(from->kind)->output(*from, output);
  if (!place)
    return Error{Cause::bad_workflow,
                 "step '" + from->name + "' has no output '" + std::string(output) + "'"};
  const Piece* piece = made->second.piece(place->piece);
  if (!piece && !place->piece.empty())
    return Error{Cause::bad_workflow, "step '" + from->name + "' has made no '" + place->piece + "'"};
  if (!piece) {
    TRY(auto partition, bench_.artifacts.partition_on(host, made->second.digest));
    return partition.string();
  }
  TRY(auto path, bench_.locations.on(host, piece->digest, piece->name));
  if (!path) return Error{Cause::bug, "piece " + piece->name + " was not brought to host " + host};
  const fs::path whole = bench_.pool.root(host) / *path;
  return (place->path.empty() ? whole : whole / place->path).string();
}

Result<Json> Attempt::spec_of(const Task& task) const {
  const std::string& host = task.row.host;
  const fs::path root = bench_.pool.root(host);
  TRY(auto spec, fill_step_references(task.plan.spec, [&](std::string_view step, std::string_view output) {
        return path_on(host, step, output);
      }));
  spec["token"] = task.row.token;
  spec["folder"] = (root / "tmp" / task.row.token).string();
  if (!spec.has("threads")) spec["threads"] = threads_of(task);
  Json inputs = Json(Json::Object{});
  for (const TaskInput& input : task.plan.inputs) {
    const auto made = bench_.made.find(input.step);
    if (made == bench_.made.end()) return Error{Cause::bug, "step " + input.step + " is not made"};
    if (input.piece.empty()) {
      TRY(auto partition, bench_.artifacts.partition_on(host, made->second.digest));
      inputs[input.name] = partition.string();
      continue;
    }
    const Piece* piece = made->second.piece(input.piece);
    if (!piece)
      return Error{Cause::bad_state, "step " + input.step + " has published no piece " + input.piece};
    TRY(auto path, bench_.locations.on(host, piece->digest, piece->name));
    if (!path) return Error{Cause::bug, "piece " + piece->name + " was not brought to host " + host};
    inputs[input.name] = (root / *path).string();
  }
  for (const LocalInput& input : task.plan.local_inputs) {
    const auto found = task.local.find(input.name.empty() ? input.to : input.name);
    if (found == task.local.end())
      return Error{Cause::bug, "input " + input.from.string() + " was not brought"};
    if (!input.name.empty()) {
      inputs[input.name] = found->second.string();
      continue;
    }
    Json stage;
    stage["from"] = found->second.string();
    stage["to"] = input.to;
    spec["stage"].push_back(std::move(stage));
  }
  spec["inputs"] = std::move(inputs);
  if (task.plan.on_network) add_network(task, spec);
  if (checkpoints_ && &task == &tasks_.front()) {
    spec["checkpoints"] = checkpoints_->folder(host).string();
    if (!resume_path_.empty()) spec["resume"] = resume_path_;
  }
  return spec;
}

// Programs that know nothing of us find each other by these two variables, as torch.distributed does.
void Attempt::add_network(const Task& task, Json& spec) const {
  const auto address_of = [&](const std::string& host) {
    const auto found = addresses_.find(host);
    return found == addresses_.end() ? std::string() : found->second;
  };
  if (task.plan.program != "exec") {
    spec["address"] = address_of(task.row.host);
    return;
  }
  spec["environment"]["MASTER_ADDR"] = address_of(tasks_.front().row.host);
  spec["environment"]["MASTER_PORT"] = std::to_string(meeting_port(tasks_.front().row.token));
}

}  // namespace gnnflow
