// A light walk over YAML's tokens: enough to know where { } and [ ], quotes, comments and block scalars are.
#include "orchestrator/workflow/flow_scan.h"

#include <utility>

#include <fmt/format.h>

namespace gnnflow {
namespace {

class FlowScan {
 public:
  FlowScan(std::string_view text, Problems& problems) : text_(text), result_(text), problems_(problems) {}

  std::string run() {
    while (at_ < text_.size()) block_line();
    return std::move(result_);
  }

 private:
  char look(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\n'; }
  static bool blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }
  static bool ends_word(char c) { return blank(c) || c == '\n'; }

  void step() {
    if (text_[at_] == '\n') {
      ++line_;
      line_begin_ = at_ + 1;
    }
    ++at_;
  }
  void skip_line() {
    while (at_ < text_.size() && text_[at_] != '\n') step();
    if (at_ < text_.size()) step();
  }
  TextPlace place() const { return {line_, static_cast<int>(at_ - line_begin_)}; }

  void block_line() {
    size_t indent = 0;  // of the line, or of the key after its dashes: what a block scalar must exceed
    bool first = true;
    while (look() == ' ' && at_ < text_.size()) step(), ++indent;
    while (at_ < text_.size() && look() != '\n') {
      char c = look();
      if (blank(c)) {
        step();
      } else if (c == '#') {
        break;
      } else if ((c == '-' || c == '?' || c == ':') && ends_word(look(1))) {
        step();
      } else if (c == '"' || c == '\'') {
        if (std::exchange(first, false)) indent = at_ - line_begin_;
        quoted();
      } else if (c == '{' || c == '[') {
        flow();
      } else if (c == '|' || c == '>') {
        skip_line();
        return block_scalar(indent);
      } else if (c == '&' || c == '!' || c == '*') {
        while (at_ < text_.size() && !ends_word(look())) step();
      } else {
        if (std::exchange(first, false)) indent = at_ - line_begin_;
        plain_in_block();
      }
    }
    skip_line();
  }

  void plain_in_block() {
    while (at_ < text_.size() && look() != '\n') {
      if (look() == ':' && ends_word(look(1))) return;
      if (blank(look()) && look(1) == '#') return;
      step();
    }
  }

  // Lines further in than the key, and empty ones, belong to it.
  void block_scalar(size_t indent) {
    while (at_ < text_.size()) {
      size_t end = text_.find_first_not_of(' ', at_);
      if (end == std::string_view::npos) end = text_.size();
      bool empty = end < text_.size() && (text_[end] == '\n' || text_[end] == '\r');
      if (!empty && end - at_ <= indent) return;
      skip_line();
    }
  }

  void quoted() {
    TextPlace begin = place();
    char quote = look();
    step();
    while (at_ < text_.size()) {
      char c = look();
      if (c == '\\' && quote == '"' && at_ + 1 < text_.size()) {
        step();
        step();
      } else if (c == quote && quote == '\'' && look(1) == '\'') {
        step();
        step();
      } else {
        step();
        if (c == quote) return;
      }
    }
    problems_.add(begin, "this quote is never closed");
  }

  void flow() {
    size_t depth = 0;
    while (at_ < text_.size()) {
      char c = look();
      if (c == '{' || c == '[') {
        ++depth;
        step();
      } else if (c == '}' || c == ']') {
        step();
        if (--depth == 0) return;
      } else if (c == '"' || c == '\'') {
        quoted();
      } else if (c == '#') {
        skip_line();
      } else if (blank(c) || c == '\n' || c == ',' || c == ':') {
        step();
      } else {
        plain_in_flow();
      }
    }
  }

  void plain_in_flow() {
    while (at_ < text_.size()) {
      char c = look();
      if (c == '$' && look(1) == '{') {
        if (!unquoted_reference()) return;
        continue;
      }
      if (c == ',' || c == '[' || c == ']' || c == '{' || c == '}' || c == '\n') return;
      if (c == ':' && (ends_word(look(1)) || look(1) == ',' || look(1) == '}' || look(1) == ']')) return;
      if (blank(c) && look(1) == '#') return;
      step();
    }
  }

  bool unquoted_reference() {
    size_t end = text_.find_first_of("}\n", at_);
    bool closed = end != std::string_view::npos && text_[end] == '}' &&
                  text_.substr(at_ + 2, end - at_ - 2).find_first_of(", {[]:") == std::string_view::npos;
    if (!closed) {
      problems_.add(place(), "this ${ is never closed");
      step();
      step();
      return false;
    }
    std::string_view reference = text_.substr(at_, end + 1 - at_);
    problems_.add(place(), fmt::format("write \"{}\" in quotes inside {{ }} and [ ]", reference));
    result_[at_ + 1] = kOpenBrace;
    result_[end] = kCloseBrace;
    while (at_ <= end) step();
    return true;
  }

  std::string_view text_;
  std::string result_;
  Problems& problems_;
  size_t at_ = 0, line_begin_ = 0;
  int line_ = 0;
};

}  // namespace

std::string scan_flow(std::string_view text, Problems& problems) { return FlowScan(text, problems).run(); }

}  // namespace gnnflow
