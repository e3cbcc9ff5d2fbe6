// The end of a text on one line.
#include "orchestrator/remote/daemon_log.h"

#include <vector>

#include "common/base/text.h"

namespace gnnflow {
namespace {

constexpr size_t kLines = 5;

}  // namespace

std::string last_lines(std::string_view text) {
  std::vector<std::string> lines = split(trimmed(text), '\n');
  if (lines.size() > kLines) lines.erase(lines.begin(), lines.end() - kLines);
  return join(lines, "; ");
}

}  // namespace gnnflow
