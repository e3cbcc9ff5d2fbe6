// Scalars typed, `${params.x}` and `${env.X}` filled in.
#include <fmt/format.h>

#include "common/base/text.h"
#include "orchestrator/workflow/value_reader.h"

namespace gnnflow {
namespace {

std::vector<std::string> keys_of(const Json::Object& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object) keys.push_back(key);
  return keys;
}

bool looks_octal(std::string_view text) {
  std::string_view digits = text.starts_with('-') || text.starts_with('+') ? text.substr(1) : text;
  return digits.size() > 1 && digits[0] == '0' &&
         digits.find_first_not_of("0123456789") == std::string_view::npos;
}

Json typed(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  if (std::optional<int64_t> integer = parse_integer(text)) return *integer;
  bool like_number = !text.empty() && text.find_first_not_of("0123456789+-.eE") == std::string_view::npos;
  if (std::optional<double> number = like_number ? parse_number(text) : std::nullopt) return *number;
  return text;
}

// Where in the file the text's byte `at` stands, as well as one can say.
TextPlace inside(const YamlNode& node, size_t at) {
  return {node.at.line, node.at.column + (node.in_quotes ? 1 : 0) + static_cast<int>(at)};
}

class Evaluation {
 public:
  Evaluation(const Scope& scope, Problems& problems) : scope_(scope), problems_(problems) {}

  void run(YamlNode& node) {
    for (YamlNode& item : node.items) run(item);
    for (auto& [key, value] : node.members) run(value);
    if (node.kind != YamlNode::Kind::scalar) return;
    if (!has_expression(node.text)) {
      plain_or_quoted(node);
    } else {
      with_references(node);
    }
  }

 private:
  void plain_or_quoted(YamlNode& node) {
    if (node.plain && looks_octal(node.text)) {
      node.broken = true;
      size_t first = node.text.find_first_not_of("+-0");
      problems_.add(node.at, fmt::format("'{}' begins with 0, which some read as octal", node.text),
                    fmt::format("write {} for the number, or \"{}\" in quotes for the text",
                                first == std::string::npos ? "0" : node.text.substr(first), node.text));
      return;
    }
    node.value = node.plain ? typed(node.text) : Json(node.text);
  }

  void fail(YamlNode& node, size_t at, std::string message, std::string help = "") {
    node.broken = true;
    problems_.add(inside(node, at), std::move(message), std::move(help));
  }

  void with_references(YamlNode& node) {
    ParsedText parsed = parse_text(node.text);
    for (const ExpressionError& error : parsed.errors) {
      fail(node, error.at, error.message,
           "`${` always begins a reference; $NAME is the way to a variable of a shell");
    }
    std::string text;
    for (const TextPiece& piece : parsed.pieces) {
      if (!piece.is_reference) {
        text += piece.text;
        continue;
      }
      if (piece.reference.scope == Expression::Scope::steps) {
        node.to_step = true;
        text += piece.text;
        if (!scope_.steps)
          fail(node, piece.at,
               fmt::format("'{}' cannot stand here: only options of steps refer to steps", piece.text));
        continue;
      }
      const Json* value = look_up(node, piece);
      if (!value) continue;
      if (parsed.whole_reference()) return put(node, *value, piece.reference.scope == Expression::Scope::env);
      Result<std::string> written = as_text(*value);
      if (written) {
        text += *written;
      } else {
        fail(node, piece.at, fmt::format("'{}': {}", piece.text, written.error().message));
      }
    }
    if (!node.broken) {
      node.value = text;
      node.text = text;
      node.plain = false;
    }
  }

  const Json* look_up(YamlNode& node, const TextPiece& piece) {
    bool params = piece.reference.scope == Expression::Scope::params;
    const Json::Object& known = params ? scope_.params : scope_.env;
    auto found = known.find(piece.reference.name);
    if (found != known.end() && found->second.is_null()) node.broken = true;  // its own problem was told
    if (found != known.end()) return node.broken ? nullptr : &found->second;
    std::string near = suggestion(piece.reference.name, keys_of(known));
    if (params) {
      fail(node, piece.at, fmt::format("unknown parameter '{}'{}", piece.reference.name, near),
           known.empty() ? "parameters are declared with their defaults: `params: { name: value }`" : "");
    } else {
      fail(node, piece.at, fmt::format("'{}' is not declared{}", piece.text, near),
           fmt::format("variables of the environment are named at the top of the file: `env: [{}]`",
                       piece.reference.name));
    }
    return nullptr;
  }

  // The node becomes the value: a scalar, or a list of scalars at the same place. The environment has only
  // text: it is typed like a scalar without quotes.
  void put(YamlNode& node, const Json& value, bool from_environment = false) {
    if (from_environment) {
      node.text = value.string();
      node.value = typed(node.text);
      node.plain = true;
      return;
    }
    if (!value.is_array()) {
      node.value = value;
      node.text = value.is_string() ? value.string() : value.dump();
      node.plain = !value.is_string();
      return;
    }
    node.kind = YamlNode::Kind::list;
    for (const Json& item : value.array()) {
      YamlNode child;
      child.kind = YamlNode::Kind::scalar;
      child.at = node.at;
      put(child, item);
      node.items.push_back(std::move(child));
    }
  }

  const Scope& scope_;
  Problems& problems_;
};

}  // namespace

void evaluate(YamlNode& node, const Scope& scope, Problems& problems) {
  Evaluation(scope, problems).run(node);
}

}  // namespace gnnflow
