// What is wrong with a file of text: collected with places, told all at once with the line, a caret and help.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace gnnflow {

// Both from 0; the column counts bytes.
struct TextPlace {
  int line = 0, column = 0;
  bool operator==(const TextPlace&) const = default;
};

// Borrows `text`.
class Problems {
 public:
  Problems(std::string file, std::string_view text);

  void add(TextPlace place, std::string message, std::string help = "");
  bool empty() const { return problems_.empty(); }
  size_t count() const { return problems_.size(); }

  //   flow.yml:12:7: unknown key 'epoch' in step 'model'; did you mean 'epochs'?
  //      12 |       epoch: 3
  //         |       ^~~~~
  //   help: ...
  // In the order of the file; the first 50.
  Error error() const;

 private:
  struct Problem {
    TextPlace place;
    std::string message, help;
  };
  std::string told(const Problem& problem) const;

  std::string file_;
  std::vector<std::string_view> lines_;
  std::vector<Problem> problems_;
};

// "; did you mean 'epochs'?", or nothing.
std::string suggestion(std::string_view word, const std::vector<std::string>& candidates);
// Instead of nothing "; it has: epochs, hidden", when there are candidates at all.
std::string suggestion_or_all(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace gnnflow
