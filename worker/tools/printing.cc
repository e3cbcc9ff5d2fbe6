// Answers of the tools.
#include "worker/tools/printing.h"

#include <cstdio>

#include <fmt/format.h>

namespace gnnflow {

int print_failure(const Error& error) {
  fmt::print(stderr, "gnnflow-worker: {}\n", error.message);
  return exit_code(error.cause);
}

void print_text(std::string_view text) { fmt::print("{}", text); }

void print_json(const Json& json) { fmt::print("{}\n", json.dump()); }

}  // namespace gnnflow
