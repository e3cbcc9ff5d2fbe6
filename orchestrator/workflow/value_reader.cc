// Checking values against their schemas.
#include "orchestrator/workflow/value_reader.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "common/base/text.h"

namespace gnnflow {
namespace {

std::vector<std::string> keys_of(const std::vector<OptionSchema>& schemas) {
  std::vector<std::string> keys;
  for (const OptionSchema& schema : schemas) keys.push_back(schema.key);
  return keys;
}

std::string below(const std::string& path, std::string_view key) {
  return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
}

// 1 as "1", 0.5 as "0.5".
std::string number_text(double value) {
  if (value == std::floor(value) && std::fabs(value) < 1e15)
    return fmt::format("{}", static_cast<int64_t>(value));
  return fmt::format("{}", value);
}

// The schema of a list's element or of a map's value.
OptionSchema element_of(const OptionSchema& schema) {
  OptionSchema element;
  element.key = schema.key;
  element.type = schema.element;
  element.least = schema.least;
  element.most = schema.most;
  element.choices = schema.choices;
  element.accepts = schema.accepts;
  if (schema.element == OptionType::list) element.element = OptionType::integer;
  element.names_host = schema.names_host && schema.type == OptionType::list;
  return element;
}

}  // namespace

const YamlNode* YamlNode::find(std::string_view key) const {
  for (const auto& [name, value] : members) {
    if (name.text == key) return &value;
  }
  return nullptr;
}

std::string describe(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::null:
      return "nothing";
    case YamlNode::Kind::list:
      return "a list";
    case YamlNode::Kind::map:
      return "a map";
    case YamlNode::Kind::scalar:
      break;
  }
  if (node.to_step) return fmt::format("the reference '{}'", node.text);
  bool evaluated = !node.value.is_null();
  if (node.value.is_string() || !evaluated) return fmt::format("the text '{}'", node.text);
  return fmt::format("{}", node.text);
}

std::string ValueReader::the(const std::string& path) const {
  return fmt::format("'{}' of {}", path, where_);
}

Json ValueReader::wrong_type(const YamlNode& node, const OptionSchema& schema, const std::string& path,
                             std::string_view wanted) {
  problems_.add(node.at, fmt::format("{} must be {}, not {}", the(path), wanted, describe(node)),
                schema.help);
  return {};
}

bool ValueReader::in_range(const YamlNode& node, const OptionSchema& schema, const std::string& path,
                           double value) {
  bool low = schema.least && value < *schema.least, high = schema.most && value > *schema.most;
  if (!low && !high) return true;
  problems_.add(node.at,
                fmt::format("{} must be {} {}, not {}", the(path), low ? "at least" : "at most",
                            number_text(low ? *schema.least : *schema.most), node.text),
                schema.help);
  return false;
}

Json ValueReader::read_members(const YamlNode& node, const std::vector<OptionSchema>& schemas,
                               const std::string& path, TextPlace at) {
  Json result{Json::Object{}};
  for (const auto& [key, value] : node.members) {
    bool known =
        std::any_of(schemas.begin(), schemas.end(), [&](const OptionSchema& s) { return s.key == key.text; });
    if (known) continue;
    std::string owner = path.empty() ? where_ : the(path);
    std::vector<std::string> keys = keys_of(schemas);
    problems_.add(key.at,
                  fmt::format("unknown key '{}' in {}{}", key.text, owner, suggestion(key.text, keys)),
                  fmt::format("known: {}", join(keys, ", ")));
  }
  for (const OptionSchema& schema : schemas) {
    const YamlNode* value = node.find(schema.key);
    std::string name = below(path, schema.key);
    if (value && value->broken) continue;
    if (value) {
      Json read_value = read(*value, schema, name);
      if (!read_value.is_null()) result[schema.key] = std::move(read_value);
    } else if (schema.required) {
      problems_.add(at, fmt::format("missing key '{}' in {}", schema.key, path.empty() ? where_ : the(path)),
                    fmt::format("{}: {}", schema.key, schema.help));
    } else if (schema.otherwise.is_object() && !schema.members.empty()) {
      YamlNode nothing;
      result[schema.key] = read_members(nothing, schema.members, name, at);
    } else if (!schema.otherwise.is_null()) {
      result[schema.key] = schema.otherwise;
    }
  }
  return result;
}

Json ValueReader::read(const YamlNode& node, const OptionSchema& schema, const std::string& path) {
  if (node.broken) return {};
  if (node.kind == YamlNode::Kind::null && schema.type != OptionType::any) {
    problems_.add(node.at, fmt::format("{} has no value", the(path)), schema.help);
    return {};
  }
  switch (schema.type) {
    case OptionType::text:
      return read_text(node, schema, path);
    case OptionType::integer:
    case OptionType::number:
      return read_number(node, schema, path);
    case OptionType::boolean:
      if (node.value.is_bool()) return node.value;
      return wrong_type(node, schema, path, "true or false");
    case OptionType::duration:
    case OptionType::bytes:
      return read_amount(node, schema, path);
    case OptionType::list:
      return read_list(node, schema, path);
    case OptionType::map:
      return read_map(node, schema, path);
    case OptionType::reference:
      return read_reference(node, schema, path);
    case OptionType::any:
      return read_any(node, schema, path);
  }
  bug("an option type without a reader");
}

Json ValueReader::read_text(const YamlNode& node, const OptionSchema& schema, const std::string& path) {
  if (node.kind != YamlNode::Kind::scalar) return wrong_type(node, schema, path, "text");
  note_references(node, &schema, path);
  if (!schema.choices.empty() &&
      std::find(schema.choices.begin(), schema.choices.end(), node.text) == schema.choices.end()) {
    problems_.add(node.at, fmt::format("{} must be {}{}, not '{}'{}", the(path),
                                       schema.choices.size() > 1 ? "one of " : "", join(schema.choices, ", "),
                                       node.text, suggestion(node.text, schema.choices)));
    return {};
  }
  if (schema.names_host) check_host(node.at, node.text, path);
  return node.text;
}

Json ValueReader::read_number(const YamlNode& node, const OptionSchema& schema, const std::string& path) {
  bool integer = schema.type == OptionType::integer;
  if (node.kind != YamlNode::Kind::scalar || (integer ? !node.value.is_integer() : !node.value.is_number())) {
    return wrong_type(node, schema, path, integer ? "an integer" : "a number");
  }
  if (!in_range(node, schema, path, node.value.number())) return {};
  return node.value;
}

// Durations become milliseconds, sizes bytes.
Json ValueReader::read_amount(const YamlNode& node, const OptionSchema& schema, const std::string& path) {
  bool duration = schema.type == OptionType::duration;
  std::string_view wanted = duration ? "a duration (90s, 10m, 4h)" : "a size in bytes (512, 64KiB, 1GiB)";
  if (node.kind != YamlNode::Kind::scalar || node.to_step) return wrong_type(node, schema, path, wanted);
  std::optional<int64_t> amount;
  if (duration) {
    if (std::optional<std::chrono::milliseconds> length = parse_duration(node.text)) amount = length->count();
  } else {
    amount = parse_bytes(node.text);
  }
  if (!amount) return wrong_type(node, schema, path, wanted);
  bool low = schema.least && static_cast<double>(*amount) < *schema.least;
  bool high = schema.most && static_cast<double>(*amount) > *schema.most;
  if (!low && !high) return *amount;
  double limit = low ? *schema.least : *schema.most;
  std::string told = duration ? format_duration(std::chrono::milliseconds(static_cast<int64_t>(limit)))
                              : format_bytes(limit);
  problems_.add(
      node.at,
      fmt::format("{} must be {} {}, not {}", the(path), low ? "at least" : "at most", told, node.text),
      schema.help);
  return {};
}

Json ValueReader::read_reference(const YamlNode& node, const OptionSchema& schema, const std::string& path) {
  bool whole = node.kind == YamlNode::Kind::scalar && node.to_step && parse_text(node.text).whole_reference();
  if (!whole) return wrong_type(node, schema, path, "one reference to a step, ${steps.NAME}");
  note_references(node, &schema, path);
  return node.text;
}

Json ValueReader::read_list(const YamlNode& node, const OptionSchema& schema, const std::string& path) {
  if (node.kind != YamlNode::Kind::list) return wrong_type(node, schema, path, "a list");
  OptionSchema element = element_of(schema);
  Json result{Json::Array{}};
  for (size_t i = 0; i < node.items.size(); ++i) {
    Json item = read(node.items[i], element, fmt::format("{}[{}]", path, i));
    if (!item.is_null()) result.push_back(std::move(item));
  }
  return result;
}

Json ValueReader::read_map(const YamlNode& node, const OptionSchema& schema, const std::string& path) {
  if (node.kind != YamlNode::Kind::map) return wrong_type(node, schema, path, "a map");
  if (!schema.members.empty()) return read_members(node, schema.members, path, node.at);
  OptionSchema element = element_of(schema);
  Json result{Json::Object{}};
  for (const auto& [key, value] : node.members) {
    if (schema.names_host) check_host(key.at, key.text, path);
    Json item = read(value, element, below(path, key.text));
    if (!item.is_null()) result[key.text] = std::move(item);
  }
  return result;
}

Json ValueReader::read_any(const YamlNode& node, const OptionSchema& schema, const std::string& path) {
  if (node.broken) return {};
  switch (node.kind) {
    case YamlNode::Kind::null:
      return {};
    case YamlNode::Kind::scalar:
      note_references(node, nullptr, path);
      return node.value;
    case YamlNode::Kind::list: {
      Json list{Json::Array{}};
      for (size_t i = 0; i < node.items.size(); ++i) {
        list.push_back(read_any(node.items[i], schema, fmt::format("{}[{}]", path, i)));
      }
      return list;
    }
    case YamlNode::Kind::map:
      break;
  }
  Json map{Json::Object{}};
  for (const auto& [key, value] : node.members)
    map[key.text] = read_any(value, schema, below(path, key.text));
  return map;
}

void ValueReader::check_host(TextPlace at, const std::string& name, const std::string& path) {
  if (!hosts_ || std::find(hosts_->begin(), hosts_->end(), name) != hosts_->end()) return;
  problems_.add(at, fmt::format("unknown host '{}' in {}{}", name, the(path), suggestion(name, *hosts_)),
                fmt::format("known: {}", join(*hosts_, ", ")));
}

void ValueReader::note_references(const YamlNode& node, const OptionSchema* schema, const std::string& path) {
  if (!node.to_step) return;
  for (const TextPiece& piece : parse_text(node.text).pieces) {
    if (!piece.is_reference || piece.reference.scope != Expression::Scope::steps) continue;
    TextPlace at{node.at.line, node.at.column + (node.in_quotes ? 1 : 0) + static_cast<int>(piece.at)};
    references_.push_back({piece.reference.name, piece.reference.output, path, at,
                           schema ? schema->accepts : std::vector<std::string>{}});
  }
}

}  // namespace gnnflow
