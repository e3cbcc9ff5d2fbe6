// How the tools answer: data on stdout, one line of failure on stderr, the exit code of the cause.
#pragma once

#include <string_view>

#include "common/base/json.h"
#include "common/base/result.h"
#include "worker/tools/tools.h"

namespace gnnflow {

int print_failure(const Error& error);
void print_text(std::string_view text);
void print_json(const Json& json);

}  // namespace gnnflow
