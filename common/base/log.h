// Talk on stderr: one line per fact, with time and level. Data goes to stdout, never here.
#pragma once

#include <string>
#include <string_view>

#include <fmt/format.h>

namespace gnnflow {

enum class LogLevel { debug, info, warning, error };

// Once, at the start of main. `program` stands in each line.
void open_log(std::string_view program, LogLevel least);
void log(LogLevel level, std::string_view message);

template <typename... Arguments>
void log_debug(fmt::format_string<Arguments...> text, Arguments&&... arguments) {
  log(LogLevel::debug, fmt::format(text, std::forward<Arguments>(arguments)...));
}
template <typename... Arguments>
void log_info(fmt::format_string<Arguments...> text, Arguments&&... arguments) {
  log(LogLevel::info, fmt::format(text, std::forward<Arguments>(arguments)...));
}
template <typename... Arguments>
void log_warning(fmt::format_string<Arguments...> text, Arguments&&... arguments) {
  log(LogLevel::warning, fmt::format(text, std::forward<Arguments>(arguments)...));
}
template <typename... Arguments>
void log_error(fmt::format_string<Arguments...> text, Arguments&&... arguments) {
  log(LogLevel::error, fmt::format(text, std::forward<Arguments>(arguments)...));
}

}  // namespace gnnflow
