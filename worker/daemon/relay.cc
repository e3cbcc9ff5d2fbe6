// Bytes both ways.
#include "worker/daemon/relay.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <string_view>

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

// In pieces that a pipe takes without waiting once it is ready: who does not read for so long is gone.
Status write_all(int to, std::string_view bytes, Milliseconds patience) {
  while (!bytes.empty()) {
    pollfd wait{to, POLLOUT, 0};
    int ready = ::poll(&wait, 1, static_cast<int>(patience.count()));
    if (ready == 0) return Error{Cause::unreachable, "relay: the other end does not read"};
    if (ready < 0 && errno == EINTR) continue;
    ssize_t count = ::write(to, bytes.data(), std::min<size_t>(bytes.size(), PIPE_BUF));
    if (count < 0 && errno != EINTR && errno != EAGAIN) return system_error("relay: writing", errno);
    if (count > 0) bytes.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

// False at the end.
Result<bool> move_some(int from, int to, Milliseconds patience) {
  char buffer[kBytes];
  ssize_t got = ::read(from, buffer, sizeof buffer);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return true;
  if (got < 0) return system_error("relay: reading", errno);
  TRY(write_all(to, {buffer, static_cast<size_t>(got)}, patience));
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
      TRY(bool more, move_some(in, daemon, silence));
      if (!more) return {};
      deadline = Deadline::after(silence);
    }
    if (ready > 0 && waits[1].revents) {
      TRY(bool more, move_some(daemon, out, silence));
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
    ended = write_all(STDOUT_FILENO, kReadyLine, kSilence);
    if (ended) ended = relay(STDIN_FILENO, STDOUT_FILENO, daemon->descriptor(), kSilence);
  }
  if (ended) return 0;
  log_error("{}", ended.error().message);
  return exit_code(ended.error().cause);
}

}  // namespace gnnflow
