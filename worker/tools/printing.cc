// Answers of the tools.
#include "worker/tools/printing.h"

#include <cerrno>
#include <cstdio>

#include <fmt/format.h>

namespace gnnflow {

int print_failure(const Error& error) {
  // Through `gnnflow graph` it was called by that name.
  const std::string_view called = program_invocation_short_name;
  fmt::print(stderr, "{}: {}\n", called.starts_with("gnnflow") ? called : "gnnflow-worker", error.message);
  return exit_code(error.cause);
}

void print_text(std::string_view text) { fmt::print("{}", text); }

void print_json(const Json& json) { fmt::print("{}\n", json.dump()); }

}  // namespace gnnflow
