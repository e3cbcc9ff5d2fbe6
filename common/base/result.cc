// Causes and their names, errors of the system, and the end of a program that found a bug in itself.
#include "common/base/result.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>
#include <unistd.h>

namespace gnnflow {
namespace {

struct CauseName {
  Cause cause;
  std::string_view name;
};

constexpr std::array kCauses = {
    CauseName{Cause::failed, "failed"},
    CauseName{Cause::bad_usage, "bad_usage"},
    CauseName{Cause::bad_workflow, "bad_workflow"},
    CauseName{Cause::not_found, "not_found"},
    CauseName{Cause::locked, "locked"},
    CauseName{Cause::unreachable, "unreachable"},
    CauseName{Cause::unfit, "unfit"},
    CauseName{Cause::stopped, "stopped"},
    CauseName{Cause::bad_state, "bad_state"},
    CauseName{Cause::bad_data, "bad_data"},
    CauseName{Cause::no_resources, "no_resources"},
    CauseName{Cause::bug, "bug"},
    CauseName{Cause::temporary, "temporary"},
    CauseName{Cause::hung_up, "hung_up"},
    CauseName{Cause::interrupted, "interrupted"},
    CauseName{Cause::terminated, "terminated"},
};

Cause cause_of_errno(int error_number) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
      return Cause::no_resources;
    case ENOENT:
      return Cause::not_found;
    default:
      return Cause::failed;
  }
}

}  // namespace

Cause cause_of_exit_code(int code) {
  for (const CauseName& row : kCauses) {
    if (exit_code(row.cause) == code) return row.cause;
  }
  return Cause::failed;
}

std::string_view name_of(Cause cause) {
  for (const CauseName& row : kCauses) {
    if (row.cause == cause) return row.name;
  }
  return "failed";
}

std::optional<Cause> cause_named(std::string_view name) {
  for (const CauseName& row : kCauses) {
    if (row.name == name) return row.cause;
  }
  return std::nullopt;
}

Error Error::within(std::string_view context) && {
  message = fmt::format("{}: {}", context, message);
  return std::move(*this);
}

Error system_error(std::string_view doing, int error_number) {
  const char* text = strerrordesc_np(error_number);
  return {cause_of_errno(error_number),
          text ? fmt::format("{}: {}", doing, text) : fmt::format("{}: error {}", doing, error_number)};
}

void bug(std::string_view what) {
  std::string line = fmt::format("bug: {} (please report this)\n", what);
  [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
  // Without destructors: what they rely on may be what is broken.
  std::_Exit(exit_code(Cause::bug));
}

}  // namespace gnnflow
