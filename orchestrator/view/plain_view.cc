// Plain lines, and what views share.
#include "orchestrator/view/plain_view.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>
#include <sys/ioctl.h>

#include "common/base/text.h"
#include "common/base/utf8.h"

namespace gnnflow {
namespace {

constexpr std::string_view kRed = "31", kGreen = "32", kYellow = "33", kCyan = "36", kDim = "2";

std::string_view colour_of(std::string_view what) {
  if (what == "succeeded" || what == "up") return kGreen;
  if (what == "failed") return kRed;
  if (what == "cancelled" || what == "retrying" || what == "skipped") return kYellow;
  if (what == "running") return kCyan;
  return kDim;  // cached, idle
}

bool has_ended(std::string_view what) {
  return what == "succeeded" || what == "failed" || what == "cancelled";
}

}  // namespace

std::string printable(std::string_view text) {
  std::string safe;
  while (!text.empty()) {
    const std::string_view letter = text.substr(0, std::max<size_t>(1, utf8_length(text)));
    safe += letter == "\t" ? " " : is_unprintable(letter) ? "?" : letter;
    text.remove_prefix(letter.size());
  }
  return safe;
}

TerminalSize terminal_size(int descriptor) {
  winsize size{};
  if (ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {};
  return {size.ws_col, size.ws_row};
}

std::string PlainView::coloured(std::string_view text, std::string_view code) const {
  return setup_.colour ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

void PlainView::run_began(int64_t run, std::string_view workflow, int steps) {
  say(fmt::format("run {} of {}: {} step{}\n", run, printable(workflow), steps, steps == 1 ? "" : "s"));
}

void PlainView::step_news(const StepNews& news) {
  std::string line = fmt::format("{}: {}", news.step, coloured(news.what, colour_of(news.what)));
  if (has_ended(news.what)) {
    line += fmt::format(" after {}", format_duration(Milliseconds(std::llround(news.seconds * 1000))));
  }
  if (!news.detail.empty()) line += ": " + printable(news.detail);
  last_step_ = news.step;
  last_detail_ = news.detail;
  say(line + "\n");
}

void PlainView::note(std::string_view text) { say(printable(text) + "\n"); }

// The news of the step has often said the message already: then only its log is new.
void PlainView::failure(std::string_view step, std::string_view message, std::string_view tail) {
  std::string lines;
  if (step != last_step_ || message != last_detail_) {
    lines = fmt::format("{}{}\n", step.empty() ? "" : fmt::format("{}: ", step),
                        coloured(printable(message), kRed));
  }
  if (!trimmed(tail).empty()) {
    lines += fmt::format("  the end of the log{}:\n", step.empty() ? "" : fmt::format(" of {}", step));
    while (tail.ends_with('\n')) tail.remove_suffix(1);
    for (const std::string& line : split(tail, '\n')) lines += "  | " + printable(line) + "\n";
  }
  if (!lines.empty()) say(lines);
}

void PlainView::run_ended(int, std::string_view summary) {
  std::string text;
  for (const std::string& line : split(summary, '\n')) text += printable(line) + "\n";
  setup_.data(text);
}

std::unique_ptr<RunObserver> make_plain_view(ViewSetup setup) {
  return std::make_unique<PlainView>(std::move(setup));
}

}  // namespace gnnflow
