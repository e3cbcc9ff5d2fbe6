// JSON values in memory: access, canonical writing, strict reading of members.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "common/base/json.h"
#include "common/base/text.h"
#include "common/base/utf8.h"

namespace gnnflow {
namespace {

const Json kNull;
const Json kNoList{Json::Array{}};
const Json kNoMap{Json::Object{}};

void write_ascii(std::string& out, char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      break;
    case '\\':
      out += "\\\\";
      break;
    case '\n':
      out += "\\n";
      break;
    case '\r':
      out += "\\r";
      break;
    case '\t':
      out += "\\t";
      break;
    default:
      if (static_cast<unsigned char>(c) < 0x20) {
        out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
      } else {
        out += c;
      }
  }
}

// What a program printed or a file is called may be no UTF-8. Such bytes become U+FFFD: the reader refuses
// them, and a message that its receiver refuses is worse than one with a mark in it.
void write_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    if (length == 1) {
      write_ascii(out, text.front());
    } else if (length > 1) {
      out += text.substr(0, length);
    } else {
      out += "\xEF\xBF\xBD";
    }
    text.remove_prefix(std::max<size_t>(1, length));
  }
  out += '"';
}

// JSON has no word for infinity and NaN: they become null. ".0" keeps the type of an integral double.
void write_double(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  std::array<char, 32> buffer;
  auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  std::string_view text(buffer.data(), static_cast<size_t>(end - buffer.data()));
  out += text;
  if (text.find_first_of(".e") == std::string_view::npos) out += ".0";
}

// One walk for both layouts: `indent` below 0 is one line.
class Writer {
 public:
  explicit Writer(int indent) : indent_(indent) {}

  void write(const Json& value, int depth) {
    if (value.is_null()) {
      out_ += "null";
    } else if (value.is_bool()) {
      out_ += value.boolean() ? "true" : "false";
    } else if (value.is_integer()) {
      out_ += std::to_string(value.integer());
    } else if (value.is_number()) {
      write_double(out_, value.number());
    } else if (value.is_string()) {
      write_string(out_, value.string());
    } else if (value.is_array()) {
      write_array(value.array(), depth);
    } else {
      write_object(value.object(), depth);
    }
  }

  std::string take() { return std::move(out_); }

 private:
  void write_array(const Json::Array& array, int depth) {
    out_ += '[';
    bool first = true;
    for (const Json& item : array) {
      separate(first, depth + 1);
      write(item, depth + 1);
    }
    if (!array.empty()) line(depth);
    out_ += ']';
  }

  void write_object(const Json::Object& object, int depth) {
    out_ += '{';
    bool first = true;
    for (const auto& [key, item] : object) {
      separate(first, depth + 1);
      write_string(out_, key);
      out_ += indent_ < 0 ? ":" : ": ";
      write(item, depth + 1);
    }
    if (!object.empty()) line(depth);
    out_ += '}';
  }

  void separate(bool& first, int depth) {
    if (!first) out_ += ',';
    first = false;
    line(depth);
  }

  void line(int depth) {
    if (indent_ < 0) return;
    out_ += '\n';
    out_.append(static_cast<size_t>(depth * indent_), ' ');
  }

  int indent_;
  std::string out_;
};

}  // namespace

Json::Json(uint64_t value) : value_(static_cast<int64_t>(value)) {
  if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    bug(fmt::format("{} does not fit into a JSON integer", value));
  }
}

std::string_view Json::type_name() const {
  static constexpr std::array<std::string_view, 7> kNames = {"null", "boolean", "integer", "number",
                                                             "text", "list",    "map"};
  return kNames[value_.index()];
}

double Json::number() const {
  return is_integer() ? static_cast<double>(integer()) : std::get<double>(value_);
}

Json& Json::operator[](std::string_view key) {
  if (is_null()) value_ = Object{};
  Object& members = object();
  auto found = members.find(key);
  if (found == members.end()) found = members.emplace(std::string(key), Json()).first;
  return found->second;
}

void Json::push_back(Json value) {
  if (is_null()) value_ = Array{};
  array().push_back(std::move(value));
}

const Json& Json::get(std::string_view key) const {
  if (!is_object()) return kNull;
  auto found = object().find(key);
  return found == object().end() ? kNull : found->second;
}

bool Json::has(std::string_view key) const { return is_object() && object().find(key) != object().end(); }

std::string Json::text_or(std::string_view key, std::string_view otherwise) const {
  const Json& value = get(key);
  return value.is_string() ? value.string() : std::string(otherwise);
}

int64_t Json::integer_or(std::string_view key, int64_t otherwise) const {
  const Json& value = get(key);
  return value.is_integer() ? value.integer() : otherwise;
}

double Json::number_or(std::string_view key, double otherwise) const {
  const Json& value = get(key);
  return value.is_number() ? value.number() : otherwise;
}

bool Json::boolean_or(std::string_view key, bool otherwise) const {
  const Json& value = get(key);
  return value.is_bool() ? value.boolean() : otherwise;
}

std::string Json::dump() const {
  Writer writer(-1);
  writer.write(*this, 0);
  return writer.take();
}

std::string Json::dump_pretty() const {
  Writer writer(2);
  writer.write(*this, 0);
  return writer.take() + "\n";
}

Fields::Fields(const Json& object, std::string_view where, Cause cause)
    : object_(object), where_(where), cause_(cause) {
  if (!object.is_object()) fail(fmt::format("must be a map, but is {}", object.type_name()));
}

void Fields::fail(std::string message) {
  if (!first_) first_ = Error{cause_, fmt::format("{}: {}", where_, message)};
}

const Json* Fields::find(std::string_view key, bool required) {
  asked_.emplace_back(key);
  if (!object_.is_object()) return nullptr;
  auto found = object_.object().find(key);
  if (found != object_.object().end()) return &found->second;
  if (required) fail(fmt::format("key '{}' is missing", key));
  return nullptr;
}

namespace {

std::string wrong_type(std::string_view key, std::string_view wanted, const Json& value) {
  return fmt::format("'{}' must be {}, but is {}", key, wanted, value.type_name());
}

}  // namespace

int64_t Fields::integer(std::string_view key) {
  const Json* value = find(key, true);
  if (!value) return 0;
  if (value->is_integer()) return value->integer();
  fail(wrong_type(key, "an integer", *value));
  return 0;
}

double Fields::number(std::string_view key) {
  const Json* value = find(key, true);
  if (!value) return 0;
  if (value->is_number()) return value->number();
  fail(wrong_type(key, "a number", *value));
  return 0;
}

bool Fields::boolean(std::string_view key) {
  const Json* value = find(key, true);
  if (!value) return false;
  if (value->is_bool()) return value->boolean();
  fail(wrong_type(key, "true or false", *value));
  return false;
}

std::string Fields::text(std::string_view key) {
  const Json* value = find(key, true);
  if (!value) return {};
  if (value->is_string()) return value->string();
  fail(wrong_type(key, "text", *value));
  return {};
}

const Json& Fields::list(std::string_view key) {
  const Json* value = find(key, true);
  if (!value) return kNoList;
  if (value->is_array()) return *value;
  fail(wrong_type(key, "a list", *value));
  return kNoList;
}

const Json& Fields::map(std::string_view key) {
  const Json* value = find(key, true);
  if (!value) return kNoMap;
  if (value->is_object()) return *value;
  fail(wrong_type(key, "a map", *value));
  return kNoMap;
}

const Json& Fields::any(std::string_view key) {
  const Json* value = find(key, true);
  return value ? *value : kNull;
}

int64_t Fields::integer_or(std::string_view key, int64_t otherwise) {
  return object_.has(key) ? integer(key) : (find(key, false), otherwise);
}

double Fields::number_or(std::string_view key, double otherwise) {
  return object_.has(key) ? number(key) : (find(key, false), otherwise);
}

bool Fields::boolean_or(std::string_view key, bool otherwise) {
  return object_.has(key) ? boolean(key) : (find(key, false), otherwise);
}

std::string Fields::text_or(std::string_view key, std::string_view otherwise) {
  return object_.has(key) ? text(key) : (find(key, false), std::string(otherwise));
}

const Json* Fields::optional(std::string_view key) { return find(key, false); }

Status Fields::finish() {
  if (!first_ && object_.is_object()) {
    for (const auto& [key, value] : object_.object()) {
      if (std::find(asked_.begin(), asked_.end(), key) != asked_.end()) continue;
      std::optional<std::string> meant = nearest(key, asked_);
      fail(fmt::format("unknown key '{}'{}", key, meant ? fmt::format("; did you mean '{}'?", *meant) : ""));
      break;
    }
  }
  if (first_) return *first_;
  return {};
}

}  // namespace gnnflow
