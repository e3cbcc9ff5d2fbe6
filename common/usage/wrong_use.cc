// CLI11 knows what it could not read, and names neither the option that was meant nor the help to look at.
#include "common/usage/wrong_use.h"

#include <algorithm>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "common/base/text.h"

namespace gnnflow {
namespace {

std::string unknown_option(const CLI::App& chosen, const std::string& name) {
  std::vector<std::string> known;
  for (const CLI::Option* option : chosen.get_options([](const CLI::Option* one) {
         return !one->get_group().empty();  // those that help does not show
       })) {
    for (const std::string& word : option->get_lnames()) known.push_back("--" + word);
  }
  const std::optional<std::string> near = nearest(name, known);
  return fmt::format("unknown option '{}'{}", name, near ? fmt::format("; did you mean '{}'?", *near) : "");
}

// The first that was not expected; an option before words, which may be its value.
std::string unexpected(const CLI::App& app, const CLI::App& chosen,
                       const std::vector<std::string>& arguments) {
  const std::vector<std::string> left = app.remaining(true);
  std::string word;
  for (const std::string& argument : arguments) {
    if (std::find(left.begin(), left.end(), argument) == left.end()) continue;
    if (argument.starts_with("--") && argument.size() > 2)
      return unknown_option(chosen, argument.substr(0, argument.find('=')));
    if (word.empty()) word = argument;
  }
  return fmt::format("unexpected argument '{}'", word);
}

// "--parts: 1 required INT missing"
std::string mismatch(const std::string& told) {
  const size_t end = told.find(": ");
  return end != std::string::npos && told.ends_with(" missing") ? told.substr(0, end) + " needs a value"
                                                                : told;
}

}  // namespace

ValueCheck whole_number() {
  return [](const std::string& text) {
    return parse_integer(text) ? "" : fmt::format("'{}' is no whole number", text);
  };
}

ValueCheck whole_number_from(int64_t least) {
  return [least](const std::string& text) {
    const std::optional<int64_t> number = parse_integer(text);
    return number && *number >= least ? "" : fmt::format("'{}' is no number from {} on", text, least);
  };
}

ValueCheck any_number() {
  return [](const std::string& text) {
    return parse_number(text) ? "" : fmt::format("'{}' is no number", text);
  };
}

ValueCheck one_of(std::vector<std::string> words) {
  return [words = std::move(words)](const std::string& text) {
    if (std::find(words.begin(), words.end(), text) != words.end()) return std::string();
    return fmt::format("'{}' is none of {}", text, join(words, ", "));
  };
}

Error wrong_use(const CLI::App& app, const CLI::ParseError& error,
                const std::vector<std::string>& arguments) {
  const auto parsed = [](const CLI::App* sub) { return sub->parsed(); };
  const CLI::App* chosen = &app;
  std::string words = app.get_name();  // "gnnflow hosts check"
  for (auto inner = chosen->get_subcommands(parsed); !inner.empty();
       inner = chosen->get_subcommands(parsed)) {
    chosen = inner[0];
    words += " " + chosen->get_name();
  }
  std::string what(trimmed(error.what()));
  if (dynamic_cast<const CLI::ExtrasError*>(&error)) what = unexpected(app, *chosen, arguments);
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error)) what = mismatch(what);
  return {Cause::bad_usage, fmt::format("{}; see `{} --help`", what, words)};
}

}  // namespace gnnflow
