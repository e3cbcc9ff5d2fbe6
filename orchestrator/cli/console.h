// Where commands write: data on stdout, talk on stderr. Tests record it.
#pragma once

#include <functional>
#include <string_view>

#include "common/base/file.h"

namespace gnnflow {

struct Console {
  std::function<void(std::string_view)> out, err;  // written at once
  bool out_is_terminal = false, err_is_terminal = false;
  std::function<std::string()> answer = {};  // a line that a person types; null: there is nobody to ask
  fs::path folder;  // the current folder: where a workflow is looked for when none is named
};

// Of this process.
Console process_console();

}  // namespace gnnflow
