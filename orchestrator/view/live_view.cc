// A line for each running step below the plain lines: bar, phase, rate, time to go. Nothing wraps, whatever
// the width.
#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include <fmt/format.h>

#include "common/base/text.h"
#include "orchestrator/view/plain_view.h"

namespace gnnflow {
namespace {

constexpr auto kRedraw = Milliseconds(100);
constexpr int kBarWidth = 20;
constexpr int kLeastWidthForBar = 60;

size_t characters(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string cut(std::string_view text, size_t width) {
  size_t bytes = 0, count = 0;
  while (bytes < text.size() && (count < width || (text[bytes] & 0xC0) == 0x80)) {
    if ((text[bytes] & 0xC0) != 0x80) ++count;
    ++bytes;
  }
  return std::string(text.substr(0, bytes));
}

// 1,234 a second as "1.2k".
std::string short_rate(double rate) {
  for (auto [limit, unit] : {std::pair{1e9, "G"}, std::pair{1e6, "M"}, std::pair{1e3, "k"}}) {
    if (rate >= limit) return fmt::format("{:.1f}{}", rate / limit, unit);
  }
  return rate >= 10 ? fmt::format("{:.0f}", rate) : fmt::format("{:.1f}", rate);
}

// "12s", "2m 05s": a line that is redrawn all the time has no use for tenths.
std::string whole_seconds(Milliseconds length) {
  int64_t seconds = length.count() / 1000;
  return seconds < 60 ? fmt::format("{}s", seconds) : format_duration(Milliseconds(seconds * 1000));
}

// All tasks of a running step as one: what the hindmost does, counted over those in the same phase.
struct RunningStep {
  std::string name;
  std::vector<std::pair<std::string, Progress>> tasks;
  Progress shown;  // of all of them
  Monotonic began, counted_from;
  int64_t done_at_first = 0;  // when counting began: what is done in the next phase may go on from there

  Progress together() const {
    Progress sum;
    double hindmost = 2;
    for (const auto& [task, progress] : tasks) {
      double share =
          progress.total > 0 ? static_cast<double>(progress.done) / static_cast<double>(progress.total) : 0;
      if (share >= hindmost) continue;
      hindmost = share;
      sum.phase = progress.phase;
      sum.unit = progress.unit;
      sum.note = progress.note;
    }
    for (const auto& [task, progress] : tasks) {
      if (progress.phase != sum.phase) continue;
      sum.done += progress.done;
      sum.total += progress.total;
    }
    return sum;
  }
};

class LiveView final : public PlainView {
 public:
  using PlainView::PlainView;

  void step_news(const StepNews& news) override {
    auto found = find(news.step);
    if (news.what == "running" && found == running_.end()) {
      Monotonic now = setup_.clock->now();
      running_.push_back({news.step, {}, {}, now, now, 0});
    } else if (news.what != "running" && found != running_.end()) {
      running_.erase(found);
    }
    PlainView::step_news(news);
  }

  void step_progress(std::string_view step, std::string_view task, const Progress& progress) override {
    auto found = find(step);
    if (found == running_.end()) return;
    auto known = std::find_if(found->tasks.begin(), found->tasks.end(),
                              [&](const auto& t) { return t.first == task; });
    if (known == found->tasks.end()) {
      found->tasks.emplace_back(task, progress);
    } else {
      known->second = progress;
    }
    Progress together = found->together();
    const Progress& before = found->shown;
    if (together.phase != before.phase && (together.total != before.total || together.done < before.done)) {
      found->counted_from = setup_.clock->now();
      found->done_at_first = together.done;
    }
    found->shown = std::move(together);
    changed_ = true;
    draw_when_due();
  }

  void tick() override {
    changed_ = changed_ || !running_.empty();  // the seconds run
    draw_when_due();
  }

  void run_ended(int exit_code, std::string_view summary) override {
    running_.clear();
    setup_.talk(erased());
    PlainView::run_ended(exit_code, summary);
  }

 protected:
  // Above the live lines.
  void say(std::string_view lines) override {
    std::string text = erased();
    text += lines;
    text += drawn();
    setup_.talk(text);
  }

 private:
  std::vector<RunningStep>::iterator find(std::string_view step) {
    return std::find_if(running_.begin(), running_.end(),
                        [&](const RunningStep& r) { return r.name == step; });
  }

  void draw_when_due() {
    if (!changed_ || setup_.clock->now() - last_drawn_ < kRedraw) return;
    std::string text = erased();
    text += drawn();
    if (!text.empty()) setup_.talk(text);
  }

  // Moves to the first live line and clears from there.
  std::string erased() {
    if (lines_ == 0) return "";
    std::string text = fmt::format("\x1b[{}A\r\x1b[J", lines_);
    lines_ = 0;
    return text;
  }

  std::string drawn() {
    TerminalSize size = setup_.size();
    size_t room = static_cast<size_t>(std::max(1, size.rows - 2));
    size_t shown = running_.size() <= room ? running_.size() : room - 1;
    std::string text;
    for (size_t i = 0; i < shown; ++i) text += line_of(running_[i], size.columns) + "\n";
    if (shown < running_.size()) {
      text += cut(fmt::format("and {} more running", running_.size() - shown),
                  static_cast<size_t>(std::max(1, size.columns - 1))) +
              "\n";
    }
    lines_ = static_cast<int>(shown + (shown < running_.size() ? 1 : 0));
    last_drawn_ = setup_.clock->now();
    changed_ = false;
    return text;
  }

  // The most important first: what does not fit is left out from the end.
  std::string line_of(const RunningStep& step, int columns) const {
    Monotonic now = setup_.clock->now();
    auto ran = std::chrono::duration_cast<Milliseconds>(now - step.began);
    const Progress& progress = step.shown;
    std::vector<std::string> words = {step.name};
    bool counted = progress.total > 0;
    double share =
        counted
            ? std::clamp(static_cast<double>(progress.done) / static_cast<double>(progress.total), 0.0, 1.0)
            : 0;
    if (counted && columns >= kLeastWidthForBar) words.push_back(bar(share));
    if (counted) words.push_back(fmt::format("{:3.0f} %", std::floor(share * 100)));
    if (!progress.phase.empty()) words.push_back(printable(progress.phase));
    words.push_back(whole_seconds(ran));
    double seconds = std::chrono::duration<double>(now - step.counted_from).count();
    double rate = seconds > 0.5 ? static_cast<double>(progress.done - step.done_at_first) / seconds : 0;
    if (counted && rate > 0) {
      words.push_back("ETA " +
                      whole_seconds(eta(static_cast<double>(progress.total - progress.done) / rate)));
      if (!progress.unit.empty())
        words.push_back(fmt::format("{} {}/s", short_rate(rate), printable(progress.unit)));
    }
    if (!progress.note.empty()) words.push_back(printable(progress.note));
    return fitted(words, static_cast<size_t>(std::max(1, columns - 1)));
  }

  static Milliseconds eta(double seconds) {
    return Milliseconds(static_cast<int64_t>(std::min(std::ceil(seconds), 1e7)) * 1000);
  }

  static std::string bar(double share) {
    int full = static_cast<int>(std::lround(share * kBarWidth));
    return fmt::format("[{}{}]", std::string(static_cast<size_t>(full), '#'),
                       std::string(static_cast<size_t>(kBarWidth - full), '.'));
  }

  static std::string fitted(const std::vector<std::string>& words, size_t width) {
    std::string line = cut(words[0], width);
    for (size_t i = 1; i < words.size(); ++i) {
      if (characters(line) + 2 + characters(words[i]) > width) break;
      line += "  " + words[i];
    }
    return line;
  }

  std::vector<RunningStep> running_;
  int lines_ = 0;  // live lines on the screen
  bool changed_ = false;
  Monotonic last_drawn_{};
};

}  // namespace

std::unique_ptr<RunObserver> make_live_view(ViewSetup setup) {
  return std::make_unique<LiveView>(std::move(setup));
}

}  // namespace gnnflow
