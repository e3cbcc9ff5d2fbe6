// One line per change of state: alone off a terminal, and above the live lines on one.
#pragma once

#include "orchestrator/view/terminal.h"

namespace gnnflow {

class PlainView : public RunObserver {
 public:
  explicit PlainView(ViewSetup setup) : setup_(std::move(setup)) {}

  void run_began(int64_t run, std::string_view workflow, int steps) override;
  void step_news(const StepNews& news) override;
  void step_progress(std::string_view, std::string_view, const Progress&) override {}
  void note(std::string_view text) override;
  void failure(std::string_view step, std::string_view message, std::string_view tail) override;
  void tick() override {}
  void run_ended(int exit_code, std::string_view summary) override;

 protected:
  virtual void say(std::string_view lines) { setup_.talk(lines); }
  std::string coloured(std::string_view text, std::string_view code) const;

  ViewSetup setup_;

 private:
  std::string last_step_, last_detail_;  // of the last news
};

}  // namespace gnnflow
