// Errors as values: what went wrong, in one line for a person, and a cause that decides exit code and retry.
#pragma once

#include <cassert>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace gnnflow {

// Why something failed. The number is the exit code of every program of ours (docs/operations.md).
enum class Cause : int {
  failed = 1,         // a step failed, or a plain error of the system
  bad_usage = 2,      // wrong use of the command line
  bad_workflow = 3,   // the workflow file or a step's options are wrong
  not_found = 4,      // no such run, step, host, file
  locked = 5,         // another controller holds the state
  unreachable = 6,    // host or peer: unreachable, refused, or its key is wrong
  unfit = 7,          // a check found what would stop a run
  stopped = 8,        // stopped by `gnnflow stop`
  bad_state = 9,      // the state is damaged, or from a newer version
  bad_data = 12,      // data is damaged or does not fit together
  no_resources = 13,  // not enough memory or disk
  bug = 70,           // ours
  temporary = 75,     // may pass by itself: run again
  hung_up = 129,      // SIGHUP
  interrupted = 130,  // SIGINT
  terminated = 143,   // SIGTERM
};

constexpr int exit_code(Cause cause) { return static_cast<int>(cause); }
Cause cause_of_exit_code(int code);     // an unknown code is `failed`
std::string_view name_of(Cause cause);  // "bad_data"
std::optional<Cause> cause_named(std::string_view name);

struct [[nodiscard]] Error {
  Cause cause = Cause::failed;
  std::string message;  // one line: thing, bad value, what to do

  // "reading a.yaml: <message>"
  Error within(std::string_view context) &&;
};

// `errno` as an error; ENOSPC, EDQUOT and ENOMEM are `no_resources`, ENOENT is `not_found`.
Error system_error(std::string_view doing, int error_number);

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const { return state_.index() == 0; }
  T& value() & { return check(), std::get<0>(state_); }
  const T& value() const& { return check(), std::get<0>(state_); }
  T&& value() && { return check(), std::get<0>(std::move(state_)); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }
  T value_or(T other) && { return *this ? std::get<0>(std::move(state_)) : std::move(other); }

  Result within(std::string_view context) && {
    if (*this) return std::move(*this);
    return std::move(*this).error().within(context);
  }

 private:
  void check() const { assert(state_.index() == 0); }
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  explicit operator bool() const { return !error_; }
  const Error& error() const& { return *error_; }
  Error&& error() && { return *std::move(error_); }

  Result within(std::string_view context) && {
    if (*this) return {};
    return std::move(*this).error().within(context);
  }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

// Ends the program with a reason: for what can only be a bug of ours.
[[noreturn]] void bug(std::string_view what);

}  // namespace gnnflow

// TRY(f());          returns the error of f, if any
// TRY(auto x, f());  ... else binds its value
#define GNNFLOW_CONCAT_(a, b) a##b
#define GNNFLOW_CONCAT(a, b) GNNFLOW_CONCAT_(a, b)
#define GNNFLOW_TRY1(expression)                       \
  do {                                                 \
    if (auto try_result = (expression); !try_result) { \
      return std::move(try_result).error();            \
    }                                                  \
  } while (false)
#define GNNFLOW_TRY2_(temporary, declaration, expression) \
  auto temporary = (expression);                          \
  if (!temporary) return std::move(temporary).error();    \
  declaration = std::move(temporary).value()
#define GNNFLOW_TRY2(declaration, expression) \
  GNNFLOW_TRY2_(GNNFLOW_CONCAT(try_result_, __COUNTER__), declaration, expression)
#define GNNFLOW_TRY_PICK(a, b, name, ...) name
#define TRY(...) GNNFLOW_TRY_PICK(__VA_ARGS__, GNNFLOW_TRY2, GNNFLOW_TRY1)(__VA_ARGS__)
