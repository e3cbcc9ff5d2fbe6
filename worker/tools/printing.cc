// Answers of the tools.
#include "worker/tools/printing.h"

#include <cerrno>
#include <cstdio>

#include <fmt/format.h>

namespace gnnflow {

int print_failure(const Error& error) {
  // `gnnflow graph` and `gnnflow partition` hand over with their own names.
  const std::string_view called = program_invocation_short_name;
  const bool handed_over = called == "gnnflow" || called == "gnnflow graph";
  fmt::print(stderr, "{}: {}\n", handed_over ? "gnnflow" : "gnnflow-worker", error.message);
  return exit_code(error.cause);
}

void print_text(std::string_view text) { fmt::print("{}", text); }

void print_json(const Json& json) { fmt::print("{}\n", json.dump()); }

}  // namespace gnnflow
