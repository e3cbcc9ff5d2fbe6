// The console of this process.
#include "orchestrator/cli/console.h"

#include <cerrno>

#include <unistd.h>

namespace gnnflow {
namespace {

// A reader that is gone (`gnnflow status | head -1`) is no error.
void write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

// Up to the end of the line, or of the input.
std::string read_line() {
  std::string line;
  for (char letter = 0; ::read(STDIN_FILENO, &letter, 1) == 1 && letter != '\n';) line += letter;
  return line;
}

}  // namespace

Console process_console() {
  Console console;
  console.out = [](std::string_view text) { write_all(STDOUT_FILENO, text); };
  console.err = [](std::string_view text) { write_all(STDERR_FILENO, text); };
  console.out_is_terminal = ::isatty(STDOUT_FILENO) == 1;
  console.err_is_terminal = ::isatty(STDERR_FILENO) == 1;
  if (console.err_is_terminal && ::isatty(STDIN_FILENO) == 1) console.answer = read_line;
  std::error_code ignored;
  console.folder = fs::current_path(ignored);
  return console;
}

}  // namespace gnnflow
