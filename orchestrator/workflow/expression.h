// `${params.x}`, `${env.X}`, `${steps.x.output}` inside text.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/json.h"
#include "common/base/result.h"

namespace gnnflow {

struct Expression {
  enum class Scope { params, env, steps };
  Scope scope = Scope::params;
  std::string name;    // of the parameter, variable or step
  std::string output;  // of a step; empty: its first
};

// Text cut into what stands as it is and what is a reference.
struct TextPiece {
  std::string text;  // literal, or the reference as written
  size_t at = 0;     // where it begins in the text
  bool is_reference = false;
  Expression reference;
};

struct ExpressionError {
  size_t at = 0;
  std::string message;
};

struct ParsedText {
  std::vector<TextPiece> pieces;
  std::vector<ExpressionError> errors;
  // The only piece is a reference: the value keeps its type.
  bool whole_reference() const { return pieces.size() == 1 && pieces[0].is_reference; }
};

bool has_expression(std::string_view text);  // "${" stands in it
ParsedText parse_text(std::string_view text);

// A value inside longer text: numbers as JSON writes them, text as it is. Nothing for lists and maps.
Result<std::string> as_text(const Json& value);

// Every `${steps.x[.output]}` in the strings of `value` replaced by what `resolve(step, output)` gives.
using StepResolver = std::function<Result<std::string>(std::string_view step, std::string_view output)>;
Result<Json> fill_step_references(const Json& value, const StepResolver& resolve);

}  // namespace gnnflow
