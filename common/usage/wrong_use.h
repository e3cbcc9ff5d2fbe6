// What is wrong with a command line, said alike by all programs: thing, bad value, where to look.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace gnnflow {

// Why a value does not do; empty when it does. CLI11 puts the option's name before it.
using ValueCheck = std::function<std::string(const std::string&)>;
ValueCheck whole_number();
ValueCheck whole_number_from(int64_t least);
ValueCheck any_number();
ValueCheck one_of(std::vector<std::string> words);

// `bad_usage`: "unknown option '--sett'; did you mean '--set'?; see `gnnflow run --help`". `arguments`:
// without the program's name.
Error wrong_use(const CLI::App& app, const CLI::ParseError& error, const std::vector<std::string>& arguments);

}  // namespace gnnflow
