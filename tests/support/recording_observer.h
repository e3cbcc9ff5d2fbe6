// A RunObserver that keeps all it was told, as lines that a test can compare.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "orchestrator/engine/run_observer.h"

namespace gnnflow {

// Lines: "run 3 steps", "model running: epochs 10 -> 20", "note host a answers", "failure model: ...", "end
// 0: done". Progress and ticks make none.
class RecordingObserver : public RunObserver {
 public:
  std::function<void()> on_tick;                 // called on the engine's thread
  std::function<void(const StepNews&)> on_news;  // the same
  std::function<void(std::string_view)> on_note;

  void run_began(int64_t, std::string_view, int steps) override {
    add("run " + std::to_string(steps) + " steps");
  }
  void step_news(const StepNews& news) override {
    add(news.step + " " + news.what + (news.detail.empty() ? "" : ": " + news.detail));
    if (on_news) on_news(news);
  }
  void step_progress(std::string_view, std::string_view, const Progress&) override {
    std::lock_guard lock(mutex_);
    ++progress_calls_;
  }
  void note(std::string_view text) override {
    add("note " + std::string(text));
    if (on_note) on_note(text);
  }
  void failure(std::string_view step, std::string_view message, std::string_view tail) override {
    add("failure " + std::string(step) + ": " + std::string(message));
    std::lock_guard lock(mutex_);
    tails_.emplace_back(tail);
  }
  void tick() override {
    if (on_tick) on_tick();
  }
  void run_ended(int exit_code, std::string_view summary) override {
    add("end " + std::to_string(exit_code) + ": " + std::string(summary));
  }

  std::vector<std::string> lines() const {
    std::lock_guard lock(mutex_);
    return lines_;
  }
  // Those that begin so.
  std::vector<std::string> lines_with(std::string_view begin) const {
    std::vector<std::string> found;
    for (std::string& line : lines()) {
      if (line.starts_with(begin)) found.push_back(std::move(line));
    }
    return found;
  }
  std::vector<std::string> tails() const {
    std::lock_guard lock(mutex_);
    return tails_;
  }
  int progress_calls() const {
    std::lock_guard lock(mutex_);
    return progress_calls_;
  }

 private:
  void add(std::string line) {
    std::lock_guard lock(mutex_);
    lines_.push_back(std::move(line));
  }
  mutable std::mutex mutex_;
  std::vector<std::string> lines_, tails_;  // guarded by mutex_
  int progress_calls_ = 0;                  // guarded by mutex_
};

}  // namespace gnnflow
