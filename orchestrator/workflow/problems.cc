// Collecting what is wrong with a file, and telling it with the lines.
#include "orchestrator/workflow/problems.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/base/text.h"

namespace gnnflow {
namespace {

constexpr size_t kMostTold = 50, kMostKept = 1000;
constexpr size_t kWidest = 160;  // of a shown line, in characters

bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

size_t characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), begins_character));
}

// The word at `column`: up to a space or a sign of YAML; a quoted one with its quotes.
size_t length_of_word(std::string_view line, size_t column) {
  if (column >= line.size()) return 1;
  char first = line[column];
  if (first == '"' || first == '\'') {
    size_t end = line.find(first, column + 1);
    return end == std::string_view::npos ? 1 : end + 1 - column;
  }
  if (line.substr(column).starts_with("${")) {
    size_t end = line.find('}', column);
    return end == std::string_view::npos ? 2 : end + 1 - column;
  }
  size_t end = line.find_first_of(" \t,:[]{}#", column);
  if (end == std::string_view::npos) end = line.size();
  return std::max<size_t>(1, end - column);
}

// Cut to the part around the caret when too long; tabs and other controls as one space, so that the caret
// stands right.
struct ShownLine {
  std::string text, marks;
};

ShownLine shown(std::string_view line, size_t column) {
  column = std::min(column, line.size());
  size_t length = length_of_word(line, column);
  size_t begin = 0;
  if (column + length > kWidest) {
    begin = column > 40 ? column - 40 : 0;
    while (begin > 0 && !begins_character(line[begin])) --begin;
  }
  size_t end = std::min(line.size(), begin + kWidest);
  while (end < line.size() && !begins_character(line[end])) ++end;
  ShownLine result;
  for (char c : line.substr(begin, end - begin)) {
    result.text += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c;
  }
  result.marks = std::string(characters(line.substr(begin, column - begin)), ' ') + '^';
  size_t marked = characters(line.substr(column, std::min(length, end - column)));
  if (marked > 1) result.marks += std::string(marked - 1, '~');
  return result;
}

}  // namespace

Problems::Problems(std::string file, std::string_view text) : file_(std::move(file)) {
  size_t begin = 0;
  while (begin <= text.size()) {
    size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) end = text.size();
    std::string_view line = text.substr(begin, end - begin);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines_.push_back(line);
    begin = end + 1;
  }
}

void Problems::add(TextPlace place, std::string message, std::string help) {
  if (problems_.size() >= kMostKept) return;
  for (const Problem& known : problems_) {
    if (known.place == place && known.message == message) return;
  }
  problems_.push_back({place, std::move(message), std::move(help)});
}

std::string Problems::told(const Problem& problem) const {
  size_t row = std::min<size_t>(static_cast<size_t>(std::max(problem.place.line, 0)), lines_.size() - 1);
  std::string_view line = lines_[row];
  size_t column = std::min<size_t>(static_cast<size_t>(std::max(problem.place.column, 0)), line.size());
  std::string text =
      fmt::format("{}:{}:{}: {}\n", file_, row + 1, characters(line.substr(0, column)) + 1, problem.message);
  if (!trimmed(line).empty()) {
    ShownLine drawn = shown(line, column);
    text += fmt::format("{:>5} | {}\n      | {}\n", row + 1, drawn.text, drawn.marks);
  }
  if (!problem.help.empty()) text += fmt::format("help: {}\n", problem.help);
  return text;
}

Error Problems::error() const {
  std::vector<Problem> ordered = problems_;
  std::stable_sort(ordered.begin(), ordered.end(), [](const Problem& a, const Problem& b) {
    return std::pair(a.place.line, a.place.column) < std::pair(b.place.line, b.place.column);
  });
  std::string text;
  for (size_t i = 0; i < std::min(ordered.size(), kMostTold); ++i) text += told(ordered[i]);
  if (ordered.size() > kMostTold) text += fmt::format("and {} more\n", ordered.size() - kMostTold);
  text.pop_back();
  return {Cause::bad_workflow, std::move(text)};
}

std::string suggestion(std::string_view word, const std::vector<std::string>& candidates) {
  std::optional<std::string> near = nearest(word, candidates);
  return near ? fmt::format("; did you mean '{}'?", *near) : "";
}

std::string suggestion_or_all(std::string_view word, const std::vector<std::string>& candidates) {
  std::string near = suggestion(word, candidates);
  return near.empty() && !candidates.empty() ? "; it has: " + join(candidates, ", ") : near;
}

}  // namespace gnnflow
