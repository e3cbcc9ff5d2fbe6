// How a run is shown: live lines on a terminal, plain lines off it, NDJSON for programs.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "orchestrator/engine/run_observer.h"

namespace gnnflow {

// Where text goes. Each call gets whole lines, or a whole redrawing.
using TextSink = std::function<void(std::string_view)>;

struct TerminalSize {
  int columns = 80, rows = 24;
};

struct ViewSetup {
  TextSink talk;  // what happens: stderr
  TextSink data;  // the result: stdout
  bool colour = false;
  std::string workflow = {};  // its name, for a run that ends before it has begun
  const Clock* clock = &system_clock();
  std::function<TerminalSize()> size = [] {
    return TerminalSize{};
  };  // of the live view, asked at each redrawing
};

// One line per change of state.
std::unique_ptr<RunObserver> make_plain_view(ViewSetup setup);
// The same, and below it a line for each running step, redrawn at most 10 times a second.
std::unique_ptr<RunObserver> make_live_view(ViewSetup setup);
// One JSON object per event on `data`; each with "schema": 1.
std::unique_ptr<RunObserver> make_json_view(ViewSetup setup);

// Text of others made safe for a terminal: control characters and what is no UTF-8 become '?'.
std::string printable(std::string_view text);

// Of the terminal behind a descriptor; 80 x 24 when it does not say.
TerminalSize terminal_size(int descriptor);

}  // namespace gnnflow
