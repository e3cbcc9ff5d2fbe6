// One attempt of a step: bringing what it reads, choosing the checkpoint to go on from, starting its tasks.
#include <algorithm>

#include "orchestrator/engine/attempt.h"
#include "orchestrator/workflow/expression.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kStartLimit{30'000};
constexpr Milliseconds kAskLimit{30'000};
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

// The newest that does not go beyond the wanted epochs, of those on rank 0's host and of earlier results.
void Attempt::choose_checkpoint() {
  if (row_.resume_key.empty() || tasks_.empty()) return start_all();
  Message order;
  order.head["type"] = "checkpoints";
  order.head["step"] = row_.step;
  order.head["resume_key"] = row_.resume_key;
  bench_.pool.order(tasks_.front().row.host, std::move(order), kAskLimit, [this](Result<Message> answer) {
    if (phase_ != Phase::preparing) return;
    if (!answer && answer.error().cause == Cause::unreachable) {
      return bench_.timers.after(kAskAgain, [this] {
        if (phase_ == Phase::preparing) choose_checkpoint();
      });
    }
    resume_from(answer ? answer->head.get("checkpoints") : Json());
  });
}

void Attempt::resume_from(const Json& checkpoints) {
  const int64_t wanted = step_->options.integer_or("epochs", 0);
  int64_t best = 0;
  if (checkpoints.is_array()) {
    for (const Json& checkpoint : checkpoints.array()) {
      const int64_t epoch = checkpoint.integer_or("epoch", 0);
      if (epoch > wanted || epoch <= best) continue;
      best = epoch;
      resume_path_ = checkpoint.text_or("path", "");
    }
  }
  resume_from_output(best);
}

void Attempt::resume_from_output(int64_t best) {
  const int64_t wanted = step_->options.integer_or("epochs", 0);
  std::optional<Piece> found;
  const auto earlier = bench_.read(bench_.store.succeeded_with_resume_key(row_.step, row_.resume_key));
  for (const AttemptRow& attempt : earlier.value_or(std::vector<AttemptRow>())) {
    const int64_t epoch = epochs_in(attempt.metrics);
    const auto pieces = bench_.read(bench_.store.pieces_of(attempt.id));
    if (epoch <= best || epoch > wanted || !pieces || pieces->empty()) continue;
    const auto copies = bench_.read(bench_.locations.of(pieces->front().digest, pieces->front().name));
    const bool there = copies && std::any_of(copies->begin(), copies->end(), [&](const LocationRow& copy) {
                         return bench_.pool.knows(copy.host) && bench_.locations.fault(copy).empty();
                       });
    if (!there) continue;
    best = epoch;
    found = Piece{pieces->front().name, pieces->front().digest, pieces->front().bytes};
  }
  if (best > 0) resumed_ = "goes on from epoch " + std::to_string(best);
  if (!found) return start_all();
  bench_.artifacts.bring(tasks_.front().row.host, *found, [this](Result<fs::path> path) {
    if (phase_ != Phase::preparing) return;
    if (path) {
      resume_path_ = (*path / "last").string();
    } else {
      bench_.observer.note(step_->name + ": the earlier result cannot be fetched: " + path.error().message);
    }
    start_all();
  });
}

void Attempt::start_all() {
  phase_ = Phase::running;
  if (!resumed_.empty() && row_.state == AttemptState::intent) {
    bench_.observer.note(step_->name + ": " + resumed_);
    bench_.commit(bench_.store.add_event(bench_.run, step_->name, resumed_));
  }
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
  if (task.row.state != TaskState::started) {
    task.row.state = TaskState::started;
    if (task.row.started_ms == 0) task.row.started_ms = bench_.clock.unix_milliseconds();
    task.row.last_seen_ms = bench_.clock.unix_milliseconds();
    bench_.commit(bench_.store.set_task(task.row));
  }
  if (ending()) return stop_task(index);
  if (row_.state == AttemptState::intent) {
    row_.state = AttemptState::running;
    bench_.commit(bench_.store.set_attempt(row_.id, row_.state));
  }
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
  if (!row_.resume_key.empty() && &task == &tasks_.front()) {
    spec["checkpoints"] = (root / "checkpoints" / row_.step / row_.resume_key).string();
    if (!resume_path_.empty()) spec["resume"] = resume_path_;
  }
  return spec;
}

}  // namespace gnnflow
