// Whether to colour: --color, NO_COLOR, and what the output is.
#pragma once

#include <cstdlib>

#include "orchestrator/cli/command_line.h"

namespace gnnflow {

inline bool wants_colour(ColourMode mode, bool is_terminal) {
  if (mode != ColourMode::automatic) return mode == ColourMode::always;
  const char* none = std::getenv("NO_COLOR");
  return is_terminal && (!none || *none == '\0');
}

}  // namespace gnnflow
