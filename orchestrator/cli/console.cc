// The console of this process.
#include "orchestrator/cli/console.h"

#include <unistd.h>

#include "common/base/pipe_text.h"

namespace gnnflow {
namespace {

// Up to the end of the line, or of the input.
std::string read_line() {
  std::string line;
  for (char letter = 0; ::read(STDIN_FILENO, &letter, 1) == 1 && letter != '\n';) line += letter;
  return line;
}

}  // namespace

Console process_console() {
  Console console;
  console.out = [](std::string_view text) { write_text(STDOUT_FILENO, text); };
  console.err = [](std::string_view text) { write_text(STDERR_FILENO, text); };
  console.out_is_terminal = ::isatty(STDOUT_FILENO) == 1;
  console.err_is_terminal = ::isatty(STDERR_FILENO) == 1;
  if (console.err_is_terminal && ::isatty(STDIN_FILENO) == 1) console.answer = read_line;
  std::error_code ignored;
  console.folder = fs::current_path(ignored);
  return console;
}

}  // namespace gnnflow
