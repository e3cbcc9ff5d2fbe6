// Parsing and filling in references inside text.
#include "orchestrator/workflow/expression.h"

#include <fmt/format.h>

#include "common/base/text.h"
#include "orchestrator/workflow/problems.h"

namespace gnnflow {
namespace {

const std::vector<std::string> kScopes = {"params", "env", "steps"};

struct ParsedReference {
  Expression reference;
  std::string error;
};

// `inside` is what stands between the braces.
ParsedReference parse_reference(std::string_view inside) {
  std::string whole = fmt::format("${{{}}}", inside);
  std::vector<std::string> words = split(trimmed(inside), '.');
  Expression found;
  if (words[0] == "params") {
    found.scope = Expression::Scope::params;
  } else if (words[0] == "env") {
    found.scope = Expression::Scope::env;
  } else if (words[0] == "steps") {
    found.scope = Expression::Scope::steps;
  } else {
    return {{},
            fmt::format("'{}' refers to nothing: a reference begins with params., env. or steps.{}", whole,
                        suggestion(words[0], kScopes))};
  }
  bool step = found.scope == Expression::Scope::steps;
  if (words.size() < 2 || words.size() > (step ? 3u : 2u)) {
    return {{},
            fmt::format("'{}' is no reference: write ${{{}}}", whole,
                        step ? "steps.NAME} or ${steps.NAME.OUTPUT" : words[0] + ".NAME")};
  }
  for (size_t i = 1; i < words.size(); ++i) {
    if (!is_name(words[i])) {
      return {
          {},
          fmt::format("'{}' is no reference: '{}' is no name (letters, digits, _ and -)", whole, words[i])};
    }
  }
  found.name = words[1];
  if (words.size() == 3) found.output = words[2];
  return {found, ""};
}

}  // namespace

bool has_expression(std::string_view text) { return text.find("${") != std::string_view::npos; }

ParsedText parse_text(std::string_view text) {
  ParsedText result;
  size_t at = 0;
  while (at < text.size()) {
    size_t begin = text.find("${", at);
    size_t literal_end = begin == std::string_view::npos ? text.size() : begin;
    if (literal_end > at) {
      result.pieces.push_back({std::string(text.substr(at, literal_end - at)), at, false, {}});
    }
    if (begin == std::string_view::npos) break;
    size_t end = text.find('}', begin);
    if (end == std::string_view::npos) {
      result.errors.push_back({begin, "this ${ is never closed"});
      break;
    }
    ParsedReference parsed = parse_reference(text.substr(begin + 2, end - begin - 2));
    if (!parsed.error.empty()) {
      result.errors.push_back({begin, parsed.error});
    } else {
      result.pieces.push_back(
          {std::string(text.substr(begin, end + 1 - begin)), begin, true, parsed.reference});
    }
    at = end + 1;
  }
  return result;
}

Result<std::string> as_text(const Json& value) {
  if (value.is_string()) return value.string();
  if (value.is_array() || value.is_object() || value.is_null()) {
    return Error{Cause::bad_workflow, fmt::format("a {} cannot stand inside text", value.type_name())};
  }
  return value.dump();
}

Result<Json> fill_step_references(const Json& value, const StepResolver& resolve) {
  if (value.is_array()) {
    Json::Array filled;
    for (const Json& item : value.array()) {
      TRY(Json one, fill_step_references(item, resolve));
      filled.push_back(std::move(one));
    }
    return Json(std::move(filled));
  }
  if (value.is_object()) {
    Json::Object filled;
    for (const auto& [key, item] : value.object()) {
      TRY(Json one, fill_step_references(item, resolve));
      filled.emplace(key, std::move(one));
    }
    return Json(std::move(filled));
  }
  if (!value.is_string() || !has_expression(value.string())) return value;
  std::string text;
  for (const TextPiece& piece : parse_text(value.string()).pieces) {
    if (!piece.is_reference || piece.reference.scope != Expression::Scope::steps) {
      text += piece.text;
      continue;
    }
    TRY(std::string path, resolve(piece.reference.name, piece.reference.output));
    text += path;
  }
  return Json(std::move(text));
}

}  // namespace gnnflow
