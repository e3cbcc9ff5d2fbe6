// Lines on stderr by spdlog.
#include "common/base/log.h"

#include <memory>

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

namespace gnnflow {
namespace {

std::string pattern_for(std::string_view program) {
  std::string escaped;
  for (char c : program) escaped += c == '%' ? std::string("%%") : std::string(1, c);
  return "%Y-%m-%d %H:%M:%S " + escaped + " %l: %v";
}

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto made = std::make_shared<spdlog::logger>("", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern(pattern_for("gnnflow"));
    made->set_level(spdlog::level::info);
    made->flush_on(spdlog::level::trace);
    return made;
  }();
  return *instance;
}

spdlog::level::level_enum level_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      break;
  }
  return spdlog::level::err;
}

// A message may hold text of peers and files: it stays one line, and no terminal obeys it.
std::string escaped(std::string_view message) {
  std::string line;
  line.reserve(message.size());
  for (char c : message) {
    if (c == '\n') {
      line += "\\n";
    } else if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f) {
      line += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      line += c;
    }
  }
  return line;
}

}  // namespace

void open_log(std::string_view program, LogLevel least) {
  logger().set_pattern(pattern_for(program));
  logger().set_level(level_of(least));
}

void log(LogLevel level, std::string_view message) {
  spdlog::level::level_enum theirs = level_of(level);
  if (logger().should_log(theirs)) logger().log(theirs, escaped(message));
}

}  // namespace gnnflow
