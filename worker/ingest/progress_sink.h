// Where long work says how far it is.
#pragma once

#include <functional>

#include "common/wire/progress.h"

namespace gnnflow {

using ProgressSink = std::function<void(const Progress&)>;

}  // namespace gnnflow
