// Reading JSON text: nlohmann's parser drives a handler of ours, which refuses what that parser would let
// pass.
#include "common/base/json.h"

#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace gnnflow {
namespace {

constexpr size_t kDeepest = 64;

// Builds the value from events. Returning false ends the parse; `error_` then says why.
class Builder : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return add(Json()); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(int64_t value) override { return add(value); }
  bool number_unsigned(uint64_t value) override {
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return refuse(fmt::format("number {} is too large", value));
    }
    return add(static_cast<int64_t>(value));
  }
  bool number_float(double value, const std::string& text) override {
    // Without sign, point or exponent it was meant as an integer, which does not fit.
    if (text.find_first_of(".eE") == std::string::npos)
      return refuse(fmt::format("number {} is too large", text));
    return add(value);
  }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(nlohmann::json::binary_t&) override { return refuse("binary values are not JSON"); }

  bool start_object(size_t) override { return open(Json(Json::Object{})); }
  bool key(std::string& name) override {
    if (open_.back()->has(name)) return refuse(fmt::format("key '{}' stands twice", name));
    key_ = std::move(name);
    return true;
  }
  bool end_object() override { return close(); }
  bool start_array(size_t) override { return open(Json(Json::Array{})); }
  bool end_array() override { return close(); }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& e) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: what is wrong"
    std::string_view what = e.what();
    size_t end = what.find("] ");
    if (end != std::string_view::npos) what.remove_prefix(end + 2);
    return refuse(what.empty() ? fmt::format("wrong at byte {}", position) : std::string(what));
  }

  Json take() { return std::move(root_); }
  const std::string& error() const { return error_; }

 private:
  // Pointers into the tree stay good: while a value is open, nothing is added beside it.
  Json* place(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.array().back();
    }
    Json& member = parent[key_];
    member = std::move(value);
    return &member;
  }

  bool add(Json value) {
    place(std::move(value));
    return true;
  }

  bool open(Json value) {
    if (open_.size() >= kDeepest) return refuse(fmt::format("nested deeper than {} levels", kDeepest));
    open_.push_back(place(std::move(value)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  bool refuse(std::string message) {
    if (error_.empty()) error_ = std::move(message);
    return false;
  }

  Json root_;
  std::vector<Json*> open_;
  std::string key_;
  std::string error_;
};

}  // namespace

Result<Json> Json::parse(std::string_view text) {
  Builder builder;
  bool good = false;
  try {
    good = nlohmann::json::sax_parse(text.begin(), text.end(), &builder);
  } catch (const nlohmann::json::exception& e) {
    return Error{Cause::bad_data, fmt::format("not JSON: {}", e.what())};
  }
  if (!good) return Error{Cause::bad_data, fmt::format("not JSON: {}", builder.error())};
  return builder.take();
}

}  // namespace gnnflow
