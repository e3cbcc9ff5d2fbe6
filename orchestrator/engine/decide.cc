// Is there a result already, and if not, why must it be made?
#include "orchestrator/engine/decide.h"

#include <algorithm>

#include "common/base/digest.h"
#include "orchestrator/engine/checkpoints.h"

namespace gnnflow {
namespace {

constexpr const char* kFirstTime = "for the first time";

std::string first_input(const StepEntry& step) {
  return step.references.empty() ? "" : step.references.front().step;
}

// "flow.yml:12:5: step 'data'"
std::string place_of(const Workflow& workflow, const StepEntry& step) {
  const std::string place =
      workflow.file.string() + ":" + std::to_string(step.line) + ":" + std::to_string(step.column) + ": ";
  return (step.line > 0 ? place : "") + "step '" + step.name + "'";
}

}  // namespace

int64_t epochs_in(const Json& metrics) {
  return metrics.integer_or("epochs", metrics.integer_or("epoch", 0));
}

Status Decider::check(const StepEntry& step) const {
  return kinds_.at(step.kind)->check(workflow_, step).within(place_of(workflow_, step));
}

Result<FileDigests> Decider::digests_of(const StepEntry& step) {
  FileDigests digests;
  for (const auto& [name, path] : kinds_.at(step.kind)->content(workflow_, step)) {
    std::error_code error;
    if (!fs::exists(path, error)) {
      return Error{Cause::not_found,
                   place_of(workflow_, step) + ": its input " + path.string() + " does not exist"};
    }
    auto digest = digests_.of(path);
    if (!digest) return std::move(digest).error().within("input " + name + " of step " + step.name);
    digests.emplace(name, *digest);
  }
  return digests;
}

Result<Verdict> Decider::decide(const StepEntry& step, const MadeSteps& made) {
  const Step& kind = *kinds_.at(step.kind);
  Verdict verdict;
  TRY(auto files, digests_of(step));
  TRY(verdict.print, fingerprint(kinds_, scene(step, made), files));
  if (kind.nature() == Nature::placement) {
    TRY(decide_placement(step, made, verdict));
  } else if (kind.nature() == Nature::service) {
    verdict.what = Verdict::What::service;
    verdict.reason = "a service: up while a step needs it";
    TRY(verdict.made, made_by(step, {}, made));
  } else {
    TRY(decide_work(step, made, verdict));
  }
  return verdict;
}

Status Decider::decide_placement(const StepEntry& step, const MadeSteps& made, Verdict& verdict) {
  TRY(auto placed, made_by(step, {}, made));
  TRY(auto lacking, missing_part(placed, verdict.gone));
  if (lacking.empty()) {
    verdict.what = Verdict::What::cached;
    verdict.reason = "every part is where it belongs";
    verdict.made = placed;
    if (store_) {
      TRY(auto last, store_->last_succeeded(step.name, verdict.print.key));
      if (last) verdict.attempt = last->id;
    }
    return {};
  }
  TRY(auto changed, why(step, verdict.print));
  verdict.reason = changed.empty() || changed == kFirstTime ? lacking : changed + ", " + lacking;
  return {};
}

Status Decider::decide_work(const StepEntry& step, const MadeSteps& made, Verdict& verdict) {
  if (!store_) {
    verdict.reason = kFirstTime;
    return {};
  }
  TRY(auto row, store_->last_succeeded(step.name, verdict.print.key));
  if (!row) return decide_attempt(step, verdict);
  TRY(auto result, made_by(step, *row, made));
  TRY(auto lacking, missing(result, verdict.gone));
  if (!lacking.empty()) {
    verdict.reason = lacking;
    return {};
  }
  verdict.what = Verdict::What::cached;
  verdict.reason = "nothing changed";
  verdict.attempt = row->id;
  verdict.run = row->run;
  if (kinds_.at(step.kind)->comes_home()) {
    for (const Piece& piece : result.pieces) {
      TRY(auto home, locations_.on(std::string(kController), piece.digest, piece.name));
      const bool faulty =
          home &&
          !locations_.fault({piece.digest, piece.name, std::string(kController), *home, true}).empty();
      if (!home || faulty) verdict.comes_home = true;
    }
  }
  verdict.made = std::move(result);
  return {};
}

// Of work that was never finished as it is wanted now.
Status Decider::decide_attempt(const StepEntry& step, Verdict& verdict) {
  TRY(verdict.reason, why(step, verdict.print));
  TRY(auto last, store_->last_attempt(step.name));
  verdict.failed_before = last && last->key == verdict.print.key &&
                          (last->state == AttemptState::failed || last->state == AttemptState::lost);
  if (verdict.print.resume_key.empty()) return {};
  const int64_t wanted = step.options.integer_or("epochs", 0);
  TRY(int64_t best, newest_checkpoint(step, verdict.print.resume_key));
  TRY(auto earlier, store_->succeeded_with_resume_key(step.name, verdict.print.resume_key));
  for (const AttemptRow& attempt : earlier) {
    const int64_t epochs = epochs_in(attempt.metrics);
    if (epochs <= best || epochs > wanted) continue;
    TRY(auto result, made_by(step, attempt, {}));
    std::vector<LocationRow> gone;  // told by whoever needs the result itself
    TRY(auto lacking, missing(result, gone));
    if (lacking.empty()) best = epochs;
  }
  if (best > 0) verdict.resumed = "goes on from epoch " + std::to_string(best);
  return {};
}

// Of attempts that did not succeed. Of other machines the store is believed: the run asks them.
Result<int64_t> Decider::newest_checkpoint(const StepEntry& step, const std::string& resume_key) {
  const int64_t wanted = step.options.integer_or("epochs", 0);
  int64_t best = 0;
  const auto take = [&](int64_t epoch) {
    if (epoch <= wanted) best = std::max(best, epoch);
  };
  for (const auto& [host, root] : locations_.roots()) {
    for (const int64_t epoch : complete_checkpoints(root / checkpoints_path(step.name, resume_key)))
      take(epoch);
  }
  TRY(auto last, store_->last_attempt(step.name));
  if (!last || last->resume_key != resume_key || last->state == AttemptState::succeeded) return best;
  TRY(auto rows, store_->locations_of(resume_key));
  const bool elsewhere = std::any_of(rows.begin(), rows.end(), [&](const LocationRow& row) {
    return workflow_.host(row.host) && locations_.roots().count(row.host) == 0;
  });
  if (elsewhere) take(last->metrics.integer_or("checkpoint", 0));
  return best;
}

Result<Made> Decider::made_by(const StepEntry& step, const AttemptRow& attempt, const MadeSteps& made) {
  const Step& kind = *kinds_.at(step.kind);
  Made result;
  if (kind.nature() != Nature::work) {
    const auto input = made.find(first_input(step));
    if (input == made.end()) return Error{Cause::bug, "step " + step.name + " refers to nothing"};
    result.digest = input->second.digest;
    TRY(result.holders, kind.holders(scene(step, made)));
    return result;
  }
  TRY(auto pieces, store_->pieces_of(attempt.id));
  Digester digester;
  for (const PieceRow& piece : pieces) {
    result.pieces.push_back({piece.name, piece.digest, piece.bytes});
    digester.add_field(piece.name);
    digester.add_field(piece.digest);
  }
  result.digest = pieces.size() == 1 ? pieces.front().digest : digester.text();
  result.result = attempt.metrics;
  return result;
}

Result<std::string> Decider::missing(const Made& made, std::vector<LocationRow>& gone) {
  std::string reason;
  for (const Piece& piece : made.pieces) {
    TRY(auto copies, locations_.of(piece.digest, piece.name));
    bool found = false;
    std::string fault = "output " + piece.name + " lies on no host any more";
    for (const LocationRow& copy : copies) {
      if (!workflow_.host(copy.host) && copy.host != kController) continue;
      const std::string wrong = locations_.fault(copy);
      if (wrong.empty()) {
        found = true;
        continue;
      }
      gone.push_back(copy);
      fault = wrong == "it is gone" ? "output " + piece.name + " removed on " + copy.host
                                    : "output " + piece.name + " changed on " + copy.host + ": " + wrong;
    }
    if (!found && reason.empty()) reason = fault;
  }
  return reason;
}

Result<std::string> Decider::missing_part(const Made& made, std::vector<LocationRow>& gone) {
  std::string reason;
  for (const auto& [part, hosts] : made.holders) {
    for (const std::string& host : hosts) {
      TRY(auto copies, locations_.of(made.digest, part_name(part)));
      std::string fault = "part " + std::to_string(part) + " is not on " + host;
      for (const LocationRow& copy : copies) {
        if (copy.host != host) continue;
        const std::string wrong = locations_.fault(copy);
        fault = wrong.empty() ? "" : "part " + std::to_string(part) + " on " + host + ": " + wrong;
        if (!wrong.empty()) gone.push_back(copy);
      }
      if (reason.empty()) reason = fault;
    }
  }
  return reason;
}

Result<std::string> Decider::why(const StepEntry& step, const Fingerprint& print) {
  if (!store_) return std::string(kFirstTime);
  TRY(auto last, store_->last_attempt(step.name));
  if (!last) return std::string(kFirstTime);
  if (last->key != print.key) {
    return difference(last->inputs, print.parts, step, [&](const std::string& from) {
      const auto found = reasons_.find(from);
      return found == reasons_.end() ? std::string() : found->second;
    });
  }
  switch (last->state) {
    case AttemptState::succeeded:
      return std::string();
    case AttemptState::failed:
    case AttemptState::lost:
      return "attempt " + std::to_string(last->number) + " failed";
    case AttemptState::cancelled:
      return "attempt " + std::to_string(last->number) + " was cancelled";
    default:
      return "attempt " + std::to_string(last->number) + " had not ended";
  }
}

}  // namespace gnnflow
