// Reading and writing that goes on after a signal.
#include "common/base/pipe_text.h"

#include <cerrno>

#include <unistd.h>

namespace gnnflow {

void write_text(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

std::string read_to_end(int descriptor, size_t most) {
  std::string text;
  char buffer[4096];
  while (text.size() < most) {
    const ssize_t got = ::read(descriptor, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(buffer, static_cast<size_t>(got));
  }
  return text;
}

}  // namespace gnnflow
