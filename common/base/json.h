// JSON values: strict reading (no duplicate keys, bounded depth), canonical writing (keys sorted, shortest
// numbers).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/result.h"

namespace gnnflow {

class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::map<std::string, Json, std::less<>>;

  Json() = default;  // null
  Json(std::nullptr_t) {}
  Json(bool value) : value_(value) {}
  Json(int value) : value_(int64_t{value}) {}
  Json(int64_t value) : value_(value) {}
  Json(uint64_t value);  // must fit into int64_t: larger numbers travel as text
  Json(double value) : value_(value) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(Array value) : value_(std::move(value)) {}
  Json(Object value) : value_(std::move(value)) {}

  bool is_null() const { return std::holds_alternative<std::nullptr_t>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_integer() const { return std::holds_alternative<int64_t>(value_); }
  bool is_number() const { return is_integer() || std::holds_alternative<double>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }
  std::string_view type_name() const;  // "integer", "text", "list", "map", ...

  // REQUIRES: the value has that type.
  bool boolean() const { return std::get<bool>(value_); }
  int64_t integer() const { return std::get<int64_t>(value_); }
  double number() const;
  const std::string& string() const { return std::get<std::string>(value_); }
  const Array& array() const { return std::get<Array>(value_); }
  Array& array() { return std::get<Array>(value_); }
  const Object& object() const { return std::get<Object>(value_); }
  Object& object() { return std::get<Object>(value_); }

  // Null turns into a map or list at the first write.
  Json& operator[](std::string_view key);
  void push_back(Json value);
  // The member, or null (of a static) when this is no map or has none.
  const Json& get(std::string_view key) const;
  bool has(std::string_view key) const;

  // Members read leniently: the given value when absent or of another type.
  std::string text_or(std::string_view key, std::string_view otherwise) const;
  int64_t integer_or(std::string_view key, int64_t otherwise) const;
  double number_or(std::string_view key, double otherwise) const;
  bool boolean_or(std::string_view key, bool otherwise) const;

  std::string dump() const;         // canonical, one line
  std::string dump_pretty() const;  // two-space indents, for files a person may open
  bool operator==(const Json&) const = default;

  static Result<Json> parse(std::string_view text);

 private:
  std::variant<std::nullptr_t, bool, int64_t, double, std::string, Array, Object> value_ = nullptr;
};

// Reads the members of one map strictly: the first missing key, wrong type or unknown key is kept, and told
// by finish().
//   Fields fields(json, "part.json");
//   part.index = fields.integer("index");
//   TRY(fields.finish());
class Fields {
 public:
  Fields(const Json& object, std::string_view where, Cause cause = Cause::bad_data);

  int64_t integer(std::string_view key);
  double number(std::string_view key);
  bool boolean(std::string_view key);
  std::string text(std::string_view key);
  const Json& list(std::string_view key);  // an empty list after an error
  const Json& map(std::string_view key);   // an empty map after an error
  const Json& any(std::string_view key);

  int64_t integer_or(std::string_view key, int64_t otherwise);
  double number_or(std::string_view key, double otherwise);
  bool boolean_or(std::string_view key, bool otherwise);
  std::string text_or(std::string_view key, std::string_view otherwise);
  const Json* optional(std::string_view key);  // null pointer when absent

  void fail(std::string message);  // kept if it is the first
  Status finish();                 // also refuses keys that nobody asked for

 private:
  const Json* find(std::string_view key, bool required);
  const Json& object_;
  std::string where_;
  Cause cause_;
  std::vector<std::string> asked_;
  std::optional<Error> first_;
};

}  // namespace gnnflow
