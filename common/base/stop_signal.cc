// The stop flag and the signals that raise it.
#include "common/base/stop_signal.h"

#include <cerrno>
#include <csignal>

#include <sys/eventfd.h>
#include <unistd.h>

namespace gnnflow {
namespace {

// A signal handler reaches nothing but globals.
std::atomic<StopSignal*> g_signal = nullptr;
std::atomic<int> g_received = 0;

Cause cause_of(int number) {
  if (number == SIGINT) return Cause::interrupted;
  return number == SIGHUP ? Cause::hung_up : Cause::terminated;
}

void on_stop(int number) {
  g_received.fetch_add(1);
  if (StopSignal* signal = g_signal.load()) signal->raise(cause_of(number));
}

void on_pipe(int) {}

void handle(int number, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  if (sigaction(number, &action, nullptr) != 0) bug("sigaction failed");
}

// `nohup` and its like have asked that it be ignored.
bool is_ignored(int number) {
  struct sigaction action {};
  return sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

StopSignal::StopSignal() : event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!event_) bug("no descriptor left for a stop signal");
}

// A signal that comes later finds nobody to tell.
StopSignal::~StopSignal() {
  StopSignal* self = this;
  g_signal.compare_exchange_strong(self, nullptr);
}

void StopSignal::raise(Cause cause) {
  int saved = errno;
  int none = 0;
  cause_.compare_exchange_strong(none, static_cast<int>(cause));
  uint64_t one = 1;
  [[maybe_unused]] ssize_t written = ::write(event_.get(), &one, sizeof one);
  errno = saved;
}

void stop_on_signals(StopSignal& signal) {
  g_signal.store(&signal);
  handle(SIGINT, on_stop);
  handle(SIGTERM, on_stop);
  if (!is_ignored(SIGHUP)) handle(SIGHUP, on_stop);
  // Not SIG_IGN: that would be inherited by the programs that we start, a handler is not.
  handle(SIGPIPE, on_pipe);
}

int signals_received() { return g_received.load(); }

}  // namespace gnnflow
