// The terminate handler.
#include "common/base/lost_exceptions.h"

#include <atomic>
#include <csignal>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <system_error>

#include <fmt/format.h>
#include <unistd.h>

#include "common/base/log.h"

namespace gnnflow {
namespace {

constexpr const char* kNoMemory = "not enough memory: take a larger machine, or ask for less at once";
constexpr unsigned kPatience = 10;  // seconds for telling: the thread that threw may hold what that needs

// A handler of the language reaches nothing but globals.
std::function<void(const Error&)>& tell_function() {
  static std::function<void(const Error&)> tell;
  return tell;
}
std::atomic<bool> g_ending = false;

Error error_of(const std::exception_ptr& lost) {
  if (!lost) return {Cause::bug, "ended without an exception"};
  try {
    std::rethrow_exception(lost);
  } catch (const std::bad_alloc&) {
    return {Cause::no_resources, kNoMemory};
  } catch (const std::system_error& error) {
    const int number = error.code().value();
    const bool full = number == EAGAIN || number == ENOMEM;
    return {full ? Cause::no_resources : Cause::bug, fmt::format("an exception was lost: {}", error.what())};
  } catch (const std::exception& error) {
    return {Cause::bug, fmt::format("an exception was lost: {}", error.what())};
  } catch (...) {
    return {Cause::bug, "an exception of unknown kind was lost"};
  }
}

void end_without_memory(int) {
  [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, kNoMemory, std::strlen(kNoMemory));
  written = ::write(STDERR_FILENO, "\n", 1);
  std::_Exit(exit_code(Cause::no_resources));
}

[[noreturn]] void end() {
  // The first thread ends the process; others that fail beside it wait for that.
  while (g_ending.exchange(true)) ::pause();
  std::signal(SIGALRM, end_without_memory);
  ::alarm(kPatience);
  try {
    const Error error = error_of(std::current_exception());
    if (error.cause == Cause::bug) bug(error.message);
    if (tell_function()) {
      tell_function()(error);
    } else {
      log_error("{}", error.message);
    }
    std::_Exit(exit_code(error.cause));
  } catch (...) {  // not even memory for the words
    end_without_memory(0);
  }
  std::_Exit(exit_code(Cause::no_resources));
}

}  // namespace

void end_on_lost_exceptions(std::function<void(const Error&)> tell) {
  tell_function() = std::move(tell);
  std::set_terminate(end);
}

}  // namespace gnnflow
