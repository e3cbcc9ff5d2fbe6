// Reading, typing and overriding parameters.
#include "orchestrator/workflow/parameters.h"

#include <cstdlib>

#include <fmt/format.h>

#include "common/base/text.h"

namespace gnnflow {
namespace {

std::string typed_as(const Json& value) {
  if (value.is_bool()) return "true or false";
  if (value.is_integer()) return "an integer";
  if (value.is_number()) return "a number";
  if (value.is_array()) return "a list";
  return "text";
}

bool is_scalar_list(const YamlNode& node) {
  for (const YamlNode& item : node.items) {
    if (item.kind != YamlNode::Kind::scalar) return false;
  }
  return node.kind == YamlNode::Kind::list;
}

// Lists are written as JSON: --set fanout=[10,5].
std::optional<Json> parse_list(std::string_view text) {
  Result<Json> list = Json::parse(text);
  if (!list || !list->is_array()) return std::nullopt;
  for (const Json& item : list->array()) {
    if (item.is_array() || item.is_object() || item.is_null()) return std::nullopt;
    if (item.is_string() && has_expression(item.string())) return std::nullopt;
  }
  return std::move(list).value();
}

std::optional<Json> parse_like(const Json& otherwise, std::string_view text) {
  if (otherwise.is_bool()) {
    if (text == "true") return Json(true);
    if (text == "false") return Json(false);
    return std::nullopt;
  }
  if (otherwise.is_integer()) {
    std::optional<int64_t> integer = parse_integer(text);
    return integer ? std::optional<Json>(*integer) : std::nullopt;
  }
  if (otherwise.is_number()) {
    std::optional<double> number = parse_number(text);
    return number ? std::optional<Json>(*number) : std::nullopt;
  }
  if (otherwise.is_array()) return parse_list(text);
  if (has_expression(text)) return std::nullopt;
  return Json(text);
}

std::string set_one(Json::Object& params, const std::string& assignment) {
  size_t sign = assignment.find('=');
  if (sign == std::string::npos || sign == 0) {
    return fmt::format("--set {}: write NAME=VALUE", assignment);
  }
  std::string name = assignment.substr(0, sign), value = assignment.substr(sign + 1);
  auto found = params.find(name);
  if (found == params.end()) {
    std::vector<std::string> names;
    for (const auto& [known, otherwise] : params) names.push_back(known);
    return fmt::format("--set {}: the workflow has no parameter '{}'{}{}", assignment, name,
                       suggestion(name, names),
                       names.empty() ? " (it has none)" : fmt::format(" (it has: {})", join(names, ", ")));
  }
  std::optional<Json> parsed = parse_like(found->second, value);
  if (!parsed) {
    return fmt::format("--set {}: '{}' is {} (its default is {}), not '{}'", assignment, name,
                       typed_as(found->second), found->second.dump(), value);
  }
  found->second = std::move(*parsed);
  return "";
}

}  // namespace

Json::Object read_params(YamlNode* node, const Scope& scope, Problems& problems) {
  Json::Object params;
  if (!node || node->broken || node->kind == YamlNode::Kind::null) return params;
  if (node->kind != YamlNode::Kind::map) {
    problems.add(node->at, fmt::format("'params' must be a map, not {}", describe(*node)),
                 "params: { epochs: 10 }");
    return params;
  }
  evaluate(*node, scope, problems);
  for (const auto& [key, value] : node->members) {
    Json taken;
    if (!is_name(key.text)) {
      problems.add(key.at, fmt::format("'{}' is no name of a parameter: letters, digits, _ and -", key.text));
    } else if (value.kind == YamlNode::Kind::scalar) {
      taken = value.value;
    } else if (is_scalar_list(value)) {
      taken = Json(Json::Array{});
      for (const YamlNode& item : value.items) taken.push_back(item.value);
    } else if (!value.broken) {
      problems.add(value.at,
                   fmt::format("parameter '{}' needs a default that gives its type: text, a number, true or "
                               "false, or a list of these, not {}",
                               key.text, describe(value)));
    }
    // A broken one is still known, so that no further errors come of it.
    params[key.text] = std::move(taken);
  }
  return params;
}

Json::Object read_env(YamlNode* node, Problems& problems) {
  Json::Object env;
  if (!node || node->broken || node->kind == YamlNode::Kind::null) return env;
  if (node->kind != YamlNode::Kind::list) {
    problems.add(node->at, fmt::format("'env' must be a list of names, not {}", describe(*node)),
                 "env: [DATA_FOLDER]");
    return env;
  }
  for (const YamlNode& item : node->items) {
    if (item.broken) continue;
    if (item.kind != YamlNode::Kind::scalar || !is_name(item.text)) {
      problems.add(item.at, fmt::format("'env' lists names of variables, not {}", describe(item)));
      continue;
    }
    const char* value = std::getenv(item.text.c_str());
    if (!value) {
      problems.add(item.at, fmt::format("'{}' is not set in the environment", item.text),
                   fmt::format("set it: {}=... gnnflow run ...", item.text));
    } else if (has_expression(value)) {
      problems.add(item.at,
                   fmt::format("'{}' of the environment holds '${{', which a value may not", item.text));
    }
    env[item.text] = value && !has_expression(value) ? Json(value) : Json();
  }
  return env;
}

void keep_params(Json::Object& params, const Json& earlier) {
  for (auto& [name, value] : params) {
    const Json& kept = earlier.get(name);
    if (value.is_number() && !value.is_integer() && kept.is_number()) {
      value = Json(kept.number());
    } else if (kept.type_name() == value.type_name()) {
      value = kept;
    }
  }
}

Status set_params(Json::Object& params, const std::vector<std::string>& set) {
  std::vector<std::string> errors;
  for (const std::string& assignment : set) {
    if (std::string error = set_one(params, assignment); !error.empty()) errors.push_back(std::move(error));
  }
  if (errors.empty()) return {};
  return Error{Cause::bad_usage, join(errors, "\n")};
}

}  // namespace gnnflow
