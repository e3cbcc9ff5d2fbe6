// Dropped bytes are a run of zeros, which may go over several pieces.
#include "orchestrator/cli/log_text.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/base/text.h"

namespace gnnflow {

void LogText::tell_dropped() {
  if (dropped_ == 0) return;
  out_(fmt::format("{}[{} were dropped]\n", last_ == '\n' ? "" : "\n",
                   format_bytes(static_cast<double>(dropped_))));
  last_ = '\n';
  dropped_ = 0;
}

void LogText::put(std::string_view bytes) {
  any_ = true;
  while (!bytes.empty()) {
    const size_t zeros = std::min(bytes.find_first_not_of('\0'), bytes.size());
    dropped_ += static_cast<int64_t>(zeros);
    bytes.remove_prefix(zeros);
    if (bytes.empty()) return;
    tell_dropped();
    const std::string_view text = bytes.substr(0, bytes.find('\0'));
    out_(text);
    last_ = text.back();
    bytes.remove_prefix(text.size());
  }
}

void LogText::finish() {
  tell_dropped();
  if (last_ != '\n') out_("\n");
}

}  // namespace gnnflow
