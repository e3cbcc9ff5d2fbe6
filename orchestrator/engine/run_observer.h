// What a run tells whoever looks: the live terminal view, plain lines, NDJSON.
#pragma once

#include <string>
#include <string_view>

#include "common/base/json.h"
#include "common/wire/progress.h"

namespace gnnflow {

struct StepNews {
  std::string step, kind;
  std::string what;    // "cached", "running", "succeeded", "failed", "cancelled", "skipped", "up", "idle",
                       // "retrying"
  std::string detail;  // reason, first cause, result: one line
  double seconds = 0;  // of the attempt so far
};

// Called on the engine's thread.
class RunObserver {
 public:
  virtual ~RunObserver() = default;
  virtual void run_began(int64_t run, std::string_view workflow, int steps) = 0;
  virtual void step_news(const StepNews& news) = 0;
  virtual void step_progress(std::string_view step, std::string_view task, const Progress& progress) = 0;
  virtual void note(std::string_view text) = 0;  // "host node1: its daemon answers"
  virtual void failure(std::string_view step, std::string_view message,
                       std::string_view tail) = 0;  // first cause and log
  virtual void tick() = 0;                          // about 10 times a second: redraw
  virtual void run_ended(int exit_code, std::string_view summary) = 0;
};

}  // namespace gnnflow
