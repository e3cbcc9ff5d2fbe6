// For one step whose inputs are made: is there a result already, and if not, why must it be made?
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "orchestrator/engine/artifacts.h"
#include "orchestrator/engine/content.h"
#include "orchestrator/engine/fingerprint.h"
#include "orchestrator/engine/step.h"
#include "orchestrator/store/past_results.h"

namespace gnnflow {

struct Verdict {
  enum class What {
    cached,   // `made` holds it
    run,      // an attempt has to be made
    service,  // up when needed; `made` holds what it counts as
  };
  What what = What::run;
  std::string reason;  // one sentence
  Fingerprint print;
  std::optional<Made> made;
  int64_t attempt = 0, run = 0;   // that made a cached result
  bool failed_before = false;     // the last attempt of just this did not succeed, and was not cancelled
  std::string resumed;            // "goes on from epoch 10"; empty: not
  bool comes_home = false;        // cached, but its copy on the controller is missing
  std::vector<LocationRow> gone;  // copies that the store knows and that are not there any more
};

using MadeSteps = std::map<std::string, Made, std::less<>>;

// The engine's thread only. Writes nothing but digests of files.
class Decider {
 public:
  Decider(const Workflow& workflow, const StepKinds& kinds, PastResults* store, Locations& locations,
          ContentDigests& digests)
      : workflow_(workflow), kinds_(kinds), store_(store), locations_(locations), digests_(digests) {}

  // What is wrong with the step whatever its inputs hold, with its place in the workflow file.
  Status check(const StepEntry& step) const;
  // REQUIRES: every step that it refers to is in `made`.
  Result<Verdict> decide(const StepEntry& step, const MadeSteps& made);
  // What a finished attempt offers.
  Result<Made> made_by(const StepEntry& step, const AttemptRow& attempt, const MadeSteps& made);
  // Remembered for reasons further down: why the step was made anew in this run.
  void remember(const std::string& step, const std::string& reason) { reasons_[step] = reason; }
  // Of the content inputs of a step.
  Result<FileDigests> digests_of(const StepEntry& step);

 private:
  Scene scene(const StepEntry& step, const MadeSteps& made) const { return {&workflow_, &step, &made}; }
  // Why the result cannot be used as it lies; empty: it can.
  Result<std::string> missing(const Made& made, std::vector<LocationRow>& gone);
  Result<std::string> missing_part(const Made& made, std::vector<LocationRow>& gone);
  Result<std::string> why(const StepEntry& step, const Fingerprint& print);
  Status decide_placement(const StepEntry& step, const MadeSteps& made, Verdict& verdict);
  Status decide_work(const StepEntry& step, const MadeSteps& made, Verdict& verdict);
  Status decide_attempt(const StepEntry& step, Verdict& verdict);
  Result<int64_t> newest_checkpoint(const StepEntry& step, const std::string& resume_key);

  const Workflow& workflow_;
  const StepKinds& kinds_;
  PastResults* store_;
  Locations& locations_;
  ContentDigests& digests_;
  std::map<std::string, std::string> reasons_;
};

// Of an attempt's metrics: how many epochs its result has seen; 0 when they do not say.
int64_t epochs_in(const Json& metrics);

}  // namespace gnnflow
