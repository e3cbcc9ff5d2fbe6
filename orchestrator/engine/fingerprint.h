// Keys: a digest over what decides a step's result, and the sentence that says what changed since the last
// time.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "common/base/json.h"
#include "common/base/result.h"
#include "orchestrator/engine/step.h"

namespace gnnflow {

// {"kind", "version", "options", "inputs": {option: digest}, "files": {path: digest}, "extra"}; stored with
// the attempt, so that a later run can say what changed.
struct Fingerprint {
  Json parts;
  std::string key;
  std::string resume_key;  // empty: attempts of this kind cannot be resumed
};

using FileDigests = std::map<std::string, std::string>;  // path as the user wrote it -> content

// `bad_workflow` when it refers to an output that does not exist.
Result<Fingerprint> fingerprint(const StepKinds& kinds, const Scene& scene, const FileDigests& files);

// One sentence: "epochs 10 -> 20", "input graph changed, because seed 1 -> 2", "file a.py changed". `why`
// says what changed an earlier step in this run, or nothing. Empty when both are the same.
using WhyChanged = std::function<std::string(const std::string& step)>;
std::string difference(const Json& before, const Json& now, const StepEntry& step, const WhyChanged& why);

// The options of `step` that are in the key, with references blanked out, and digests for what is hidden.
Json options_in_key(const Step& kind, const StepEntry& step);

}  // namespace gnnflow
