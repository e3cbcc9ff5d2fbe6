// A console that keeps what is written, and a short way to run a command line.
#pragma once

#include <string>
#include <vector>

#include "orchestrator/cli/commands.h"

namespace gnnflow {

struct Ran {
  int code = 0;
  std::string out, err;
};

inline Ran run_here(const fs::path& folder, const std::vector<std::string>& arguments) {
  Ran ran;
  Console console;
  console.out = [&](std::string_view text) { ran.out += text; };
  console.err = [&](std::string_view text) { ran.err += text; };
  console.folder = folder;
  ran.code = run_gnnflow(arguments, console);
  return ran;
}

}  // namespace gnnflow
