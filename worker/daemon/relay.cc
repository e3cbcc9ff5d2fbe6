// Bytes both ways.
#include "worker/daemon/relay.h"

#include <cerrno>

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/wire/message.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kSilence{30'000};
constexpr size_t kBytes = 1 << 16;

// False at the end. A reader that does not take it holds this direction up: the frames wait at their sender.
Result<bool> move_some(int from, int to) {
  char buffer[kBytes];
  ssize_t got = ::read(from, buffer, sizeof buffer);
  if (got < 0 && errno == EINTR) return true;
  if (got < 0) return system_error("relay: reading", errno);
  for (ssize_t written = 0; written < got;) {
    ssize_t count = ::write(to, buffer + written, static_cast<size_t>(got - written));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error("relay: writing", errno);
    written += count;
  }
  return got > 0;
}

}  // namespace

Status relay(int in, int out, int daemon, Milliseconds silence) {
  Deadline deadline = Deadline::after(silence);
  while (true) {
    pollfd waits[2] = {{in, POLLIN, 0}, {daemon, POLLIN, 0}};
    int ready = ::poll(waits, 2, deadline.poll_timeout());
    if (ready < 0 && errno != EINTR) return system_error("relay: poll", errno);
    if (ready > 0 && waits[0].revents) {
      TRY(bool more, move_some(in, daemon));
      if (!more) return {};
      deadline = Deadline::after(silence);
    }
    if (ready > 0 && waits[1].revents) {
      TRY(bool more, move_some(daemon, out));
      if (!more) return {};
    }
    if (deadline.passed()) {
      return Error{Cause::unreachable,
                   fmt::format("relay: nothing came from the controller for {} ms", silence.count())};
    }
  }
}

int relay_main(const fs::path& root) {
  ::signal(SIGPIPE, SIG_IGN);
  Result<fs::path> socket = daemon_socket_path(root);
  Status ended;
  if (!socket) {
    ended = socket.error();
  } else if (Result<MessageLink> daemon = MessageLink::connect_unix(*socket); !daemon) {
    ended = daemon.error();
  } else {
    ended = relay(STDIN_FILENO, STDOUT_FILENO, daemon->descriptor(), kSilence);
  }
  if (ended) return 0;
  log_error("{}", ended.error().message);
  return exit_code(ended.error().cause);
}

}  // namespace gnnflow
