// Opening sessions hop by hop, and what is done over them.
#include "orchestrator/remote/ssh_session.h"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <map>
#include <mutex>
#include <random>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include "common/base/text.h"
#include "orchestrator/remote/ssh_channels.h"
#include "orchestrator/remote/ssh_connect.h"
#include "orchestrator/remote/ssh_login.h"
#include "orchestrator/remote/ssh_route.h"

namespace gnnflow {

struct SshGate::State {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::string, int> inside;  // guarded by mutex
};

class SshGate::Pass {
 public:
  Pass(std::shared_ptr<State> state, std::string place)
      : state_(std::move(state)), place_(std::move(place)) {}
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;
  ~Pass() {
    std::lock_guard lock(state_->mutex);
    if (--state_->inside[place_] == 0) state_->inside.erase(place_);
    state_->changed.notify_all();
  }

 private:
  std::shared_ptr<State> state_;
  const std::string place_;
};

namespace {

constexpr int kMostAtOnce = 8;
constexpr int kMostJumps = 8;
constexpr int kTries = 6;
constexpr int kPauseMs = 300;
constexpr Milliseconds kLongest{600'000};
constexpr Milliseconds kLastWords{2000};  // between a program's last output and its exit status
constexpr size_t kMostOutput = 1 << 20;
constexpr size_t kMostTalk = 64 << 10;
constexpr size_t kShownTalk = 300;
constexpr int kNotExecutable = 126;  // says the shell

Deadline sooner(Milliseconds length, Deadline deadline) {
  return Deadline::after(std::min(length, deadline.left()));
}

// The pause before the next try: longer each time, and another for each who tries.
Status pause(int tries, Deadline deadline, const StopSignal* stop) {
  std::random_device random;
  const auto most = static_cast<unsigned>(kPauseMs * tries);
  const Milliseconds length(kPauseMs / 2 + static_cast<int>(random() % most));
  TRY(wait_for(-1, 0, sooner(length, deadline), stop));
  return {};
}

// What is said of a far program that ended before it was any use.
Error ended_early(const FarProgram& program, std::string_view talk) {
  const auto status = program.end.status(Deadline::after(kLastWords));
  const std::string said = one_line(program.end.last_words());
  const bool full = said.find("No space left on device") != std::string::npos ||
                    said.find("Disk quota exceeded") != std::string::npos ||
                    status.value_or(0) == exit_code(Cause::no_resources);
  std::string message = "it ended before it said that it is ready";
  if (status && *status >= 0) message += fmt::format(" (exit code {})", *status);
  if (!said.empty()) message += ": " + said;
  if (status == kNotExecutable) message += "; is its file system mounted noexec?";
  const std::string shown = one_line(talk, kShownTalk);
  if (!shown.empty()) message += fmt::format("; its output was '{}'", shown);
  return {full ? Cause::no_resources : Cause::unreachable, message};
}

}  // namespace

std::shared_ptr<SshGate::State> SshGate::make_state() { return std::make_shared<State>(); }

std::shared_ptr<SshGate::Pass> SshGate::enter(const std::string& place, Deadline deadline) {
  std::unique_lock lock(state_->mutex);
  const auto room = [&] { return state_->inside[place] < kMostAtOnce; };
  if (!state_->changed.wait_for(lock, std::min(deadline.left(), kLongest), room)) return nullptr;
  ++state_->inside[place];
  return std::make_shared<Pass>(state_, place);
}

namespace {

struct Opening {
  Deadline deadline;
  const SshSettings& settings;
  bool log_in = true;  // false: up to the key of the last hop
};

}  // namespace

struct SshSession::State {
  std::string place, address;
  std::unique_ptr<SshSession> jump;  // ends after the channels that go through it
  std::unique_ptr<SshChannels> channels;

  Result<FarProgram> open(SshChannels::Wanted wanted, Deadline deadline, const StopSignal* stop) {
    return channels->open(std::move(wanted), deadline, stop).within(place);
  }
  // `through`: the hop before, when a list of jumps names them all. Nothing when nobody was to log in.
  static Result<std::unique_ptr<SshSession>> open_hop(const SshTarget& target,
                                                      std::unique_ptr<SshSession> through,
                                                      const Opening& opening, int depth);
  static Result<std::unique_ptr<SshSession>> open_jumps(const std::vector<SshTarget>& jumps,
                                                        const Opening& opening, int depth);
  Status try_hop(SshRoute& route, const Opening& opening);
};

Result<std::unique_ptr<SshSession>> SshSession::State::open_jumps(const std::vector<SshTarget>& jumps,
                                                                  const Opening& opening, int depth) {
  if (depth > kMostJumps) return Error{Cause::unreachable, "too many jumps: they lead in a circle"};
  std::unique_ptr<SshSession> last;
  for (const SshTarget& jump : jumps) {
    Opening whole{opening.deadline, opening.settings, true};
    TRY(last, open_hop(jump, std::move(last), whole, depth));
  }
  return last;
}

Status SshSession::State::try_hop(SshRoute& route, const Opening& opening) {
  const SshSettings& settings = opening.settings;
  std::shared_ptr<SshGate::Pass> pass;
  if (settings.gate) {
    pass = settings.gate->enter(fmt::format("{}:{}", route.host, route.port), opening.deadline);
    if (!pass) return Error{Cause::unreachable, "too many others are connecting to it"};
  }
  const Deadline connected = sooner(settings.patience.connect, opening.deadline);
  FileDescriptor socket;
  if (jump) {
    TRY(socket, jump->forward(route.host, route.port, connected, settings.stop));
    address = numeric_address(route.host);
    ::fcntl(socket.get(), F_SETFL, ::fcntl(socket.get(), F_GETFL) | O_NONBLOCK);
  } else {
    TRY(socket,
        connect_tcp(route.host, route.port, settings.patience.connect, opening.deadline, settings.stop));
    address = peer_address(socket.get());
  }
  const Deadline done = sooner(settings.patience.login, opening.deadline);
  TRY(shake_hands(route, std::move(socket), done, settings));
  if (!opening.log_in) return {};
  return log_in(route, done, settings.stop);
}

Result<std::unique_ptr<SshSession>> SshSession::State::open_hop(const SshTarget& target,
                                                                std::unique_ptr<SshSession> through,
                                                                const Opening& opening, int depth) {
  const std::string who = depth == 0 ? "host " + target.name : "jump " + target.address;
  auto state = std::make_unique<State>();
  state->jump = std::move(through);
  for (int tries = 1;; ++tries) {
    TRY(SshRoute route, find_route(target).within(who));
    state->place = fmt::format("{} ({})", depth == 0 ? who : "jump", route.place);
    route.place = state->place;
    if (!state->jump && !route.jumps.empty()) {
      TRY(state->jump, open_jumps(route.jumps, opening, depth + 1).within(state->place));
    }
    Status tried = state->try_hop(route, opening);
    if (tried && !opening.log_in) return std::unique_ptr<SshSession>();
    if (tried) {
      state->channels = std::make_unique<SshChannels>(std::move(route.handle));
      return std::unique_ptr<SshSession>(new SshSession(std::move(state)));
    }
    Error error = std::move(tried).error();
    if (error.cause == Cause::temporary && tries < kTries && !opening.deadline.passed()) {
      TRY(pause(tries, opening.deadline, opening.settings.stop).within(state->place));
      continue;
    }
    if (error.cause == Cause::temporary) error.cause = Cause::unreachable;
    return std::move(error).within(state->place);
  }
}

SshSession::SshSession(std::unique_ptr<State> state) : state_(std::move(state)) {}
SshSession::~SshSession() = default;

const std::string& SshSession::place() const { return state_->place; }
const std::string& SshSession::address() const { return state_->address; }
bool SshSession::alive() const { return state_->channels->alive(); }

Result<std::unique_ptr<SshSession>> SshSession::open(const SshTarget& target, Deadline deadline,
                                                     const SshSettings& settings) {
  return State::open_hop(target, nullptr, Opening{deadline, settings}, 0);
}

Status SshSession::meet(const SshTarget& target, Deadline deadline, const SshSettings& settings) {
  TRY(State::open_hop(target, nullptr, Opening{deadline, settings, false}, 0));
  return {};
}

Result<FarProgram> SshSession::start(const std::string& command, Deadline deadline, const StopSignal* stop) {
  return state_->open({.command = command}, deadline, stop);
}

Result<FileDescriptor> SshSession::forward(const std::string& host, int port, Deadline deadline,
                                           const StopSignal* stop) {
  TRY(FarProgram connection, state_->open({.host = host, .port = port}, deadline, stop));
  return std::move(connection.pipe);
}

Result<FarRun> SshSession::run(const std::string& command, std::string_view input, Deadline deadline,
                               const StopSignal* stop) {
  TRY(FarProgram program, start(command, deadline, stop));
  const int pipe = program.pipe.get();
  FarRun run;
  bool told = false, ended = false;
  while (!ended) {
    if (input.empty() && !std::exchange(told, true)) ::shutdown(pipe, SHUT_WR);
    const short wanted = input.empty() ? POLLIN : POLLIN | POLLOUT;
    TRY(const short ready, wait_for(pipe, wanted, deadline, stop).within(place()));
    if (ready == 0)
      return Error{Cause::unreachable, fmt::format("{}: no answer to '{}' in time", place(), command)};
    if (ready & POLLOUT) {
      const ssize_t sent = ::send(pipe, input.data(), input.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent > 0) input.remove_prefix(static_cast<size_t>(sent));
      if (sent < 0 && errno != EAGAIN && errno != EINTR) input = {};  // it reads no more
    }
    if (ready & (POLLIN | POLLHUP)) {
      char bytes[16 << 10];
      const ssize_t got = ::recv(pipe, bytes, sizeof bytes, MSG_DONTWAIT);
      if (got > 0) run.out.append(bytes, static_cast<size_t>(got));
      ended = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
    }
    if (run.out.size() > kMostOutput)
      return Error{Cause::unreachable, fmt::format("{}: '{}' writes without end", place(), command)};
  }
  const std::optional<int> status = program.end.status(deadline);
  run.status = status.value_or(-1);
  run.errors = program.end.last_words();
  if (!status || (run.status < 0 && !alive()))
    return Error{Cause::unreachable, fmt::format("{}: '{}' did not end: {}", place(), command, run.errors)};
  return run;
}

Result<FarLink> start_messages(SshSession& session, const std::string& command, Deadline deadline,
                               const StopSignal* stop) {
  TRY(FarProgram program, session.start(command, deadline, stop));
  const int pipe = program.pipe.get();
  std::string talk;
  while (true) {
    TRY(const short ready, wait_for(pipe, POLLIN, deadline, stop).within(session.place()));
    if (ready == 0)
      return Error{Cause::unreachable, fmt::format("{}: '{}' does not begin", session.place(), command)};
    char bytes[4096];
    // Only looked at: what follows the line belongs to the link.
    const ssize_t got = ::recv(pipe, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got <= 0) return ended_early(program, talk).within(session.place());
    const size_t before = talk.size();
    talk.append(bytes, static_cast<size_t>(got));
    const size_t at = talk.find(kReadyLine);
    const size_t used = at == std::string::npos ? talk.size() : at + kReadyLine.size();
    (void)::recv(pipe, bytes, used - before, 0);
    if (at != std::string::npos) return FarLink{MessageLink(std::move(program.pipe)), program.end};
    if (talk.size() > kMostTalk) {
      return Error{Cause::unreachable,
                   fmt::format("{}: its login shell prints without end; '{}' was not heard", session.place(),
                               command)};
    }
  }
}

}  // namespace gnnflow
