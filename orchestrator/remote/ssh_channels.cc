// One poll over the connection, every channel's socket, and a descriptor that wakes it.
//
//   user ── socket pair ── Line ── ssh channel ── the far program's stdin, stdout
//                           └────── stderr: the last 4 KiB, in FarEnd
//
// What comes from a user goes on only while the channel's window has room and libssh has written what it was
// given before; what comes from afar is left in the channel while the user does not read, so that its window
// closes.
#include "orchestrator/remote/ssh_channels.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <future>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <libssh/libssh.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/text.h"
#include "orchestrator/remote/far_end.h"
#include "orchestrator/remote/ssh_connect.h"

namespace gnnflow {
namespace {

constexpr size_t kMostChannels = 8;
constexpr size_t kBuffer = 256 << 10;
constexpr size_t kErrorBytes = 4 << 10;  // read at once
constexpr int kReadsAtOnce = 64;
constexpr int kRefusals = 20;
constexpr Milliseconds kPause{20};
constexpr Milliseconds kLookForStop{50};
// How long a far program may go on when nobody here wants it any more.
constexpr Milliseconds kLinger{10'000};

// Bytes on their way in one direction.
class Buffer {
 public:
  Buffer() : bytes_(kBuffer) {}
  bool empty() const { return begin_ == end_; }
  char* room() { return bytes_.data(); }
  const char* data() const { return bytes_.data() + begin_; }
  size_t size() const { return end_ - begin_; }
  void filled(size_t count) { begin_ = 0, end_ = count; }  // REQUIRES: empty
  void used(size_t count) { begin_ += count; }
  void drop() { begin_ = end_ = 0; }

 private:
  std::vector<char> bytes_;
  size_t begin_ = 0, end_ = 0;
};

struct Line {
  SshChannels::Wanted wanted;
  Deadline opened_by = Deadline::never();
  std::promise<Status> opened;
  bool open = false, asked = false;  // the channel is there; the command was asked for
  bool refused = false;              // and told
  int refusals = 0;
  std::string refusal = "no time was left to start a program";  // the last one
  Deadline again = Deadline::after({});                         // after a refusal: not before
  ssh_channel channel = nullptr;
  FileDescriptor local;
  Buffer outwards, inwards;
  bool local_ended = false;  // its user has nothing more to say
  bool local_gone = false;   // its user does not listen either
  bool hung_up = false;      // both directions are shut there: poll would say so for ever
  bool told_far = false;     // the far program was told that stdin has ended
  bool told_local = false;   // the user was told that stdout has ended
  Deadline lingers = Deadline::never();
  std::shared_ptr<FarEnd::State> end = std::make_shared<FarEnd::State>();
};

}  // namespace

class SshChannels::Loop {
 public:
  explicit Loop(SshHandle session);
  ~Loop();
  Result<FarProgram> open(Wanted wanted, Deadline deadline, const StopSignal* stop);
  bool alive() const { return alive_; }

 private:
  void run();
  void take_new_lines();
  void wait(bool look_only);
  void read_connection();
  bool step(Line& line);  // false: it is done with
  void open_step(Line& line);
  int ask_for(Line& line);
  void refuse(Line& line, const std::string& why);
  void move_outwards(Line& line);
  void move_inwards(Line& line);
  void read_errors(Line& line);
  void read_user(Line& line);
  bool ended(Line& line);
  void close(Line& line);
  void break_off(const std::string& why);
  bool writing() const { return (ssh_get_poll_flags(session_.get()) & SSH_WRITE_PENDING) != 0; }

  SshHandle session_;
  ssh_event event_ = nullptr;
  ssh_counter_struct counted_{};  // by libssh: packets that it read
  FileDescriptor wake_;
  std::atomic<bool> alive_ = true, ending_ = false;
  std::mutex mutex_;
  std::list<Line> fresh_;  // guarded by mutex_
  size_t count_ = 0;       // guarded by mutex_
  std::list<Line> lines_;  // of the thread, as is the next
  bool dead_ = false;
  bool held_back_ = false;  // in this round a line did not write: libssh had not written what it has
  std::thread thread_;
};

SshChannels::Loop::Loop(SshHandle session)
    : session_(std::move(session)), event_(ssh_event_new()), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!event_ || !wake_) bug("no memory or descriptors for an ssh session");
  ssh_event_add_session(event_, session_.get());
  ssh_set_counters(session_.get(), nullptr, &counted_);
  thread_ = std::thread([this] { run(); });
}

SshChannels::Loop::~Loop() {
  ending_ = true;
  ::eventfd_write(wake_.get(), 1);
  thread_.join();
  ssh_event_remove_session(event_, session_.get());
  ssh_event_free(event_);
}

Result<FarProgram> SshChannels::Loop::open(Wanted wanted, Deadline deadline, const StopSignal* stop) {
  TRY(auto ends, make_socket_pair());
  Line line;
  line.wanted = std::move(wanted);
  line.opened_by = deadline;
  line.local = std::move(ends.second);
  ::fcntl(line.local.get(), F_SETFL, ::fcntl(line.local.get(), F_GETFL) | O_NONBLOCK);
  std::future<Status> opened = line.opened.get_future();
  FarProgram program{std::move(ends.first), FarEnd(line.end)};
  {
    std::lock_guard lock(mutex_);
    if (!alive_) return Error{Cause::unreachable, "the connection has ended"};
    if (count_ == kMostChannels) return Error{Cause::temporary, "all channels of the connection are in use"};
    ++count_;
    fresh_.push_back(std::move(line));
  }
  ::eventfd_write(wake_.get(), 1);
  while (stop && opened.wait_for(kLookForStop) != std::future_status::ready) {
    if (stop->raised()) return stopped_while_connecting(*stop);  // what comes of it finds nobody, and ends
  }
  TRY(opened.get());
  return program;
}

void SshChannels::Loop::run() {
  while (!ending_ && alive_) {
    take_new_lines();
    const uint64_t packets = counted_.in_packets;
    held_back_ = false;
    for (auto line = lines_.begin(); line != lines_.end();) {
      line = step(*line) ? std::next(line) : lines_.erase(line);
    }
    if (dead_ || !ssh_is_connected(session_.get())) break_off(one_line(ssh_get_error(session_.get())));
    // Nearly every call of libssh reads and writes the connection: a packet may have come for a line that had
    // its turn, or room for one that was held back, and poll tells neither again.
    if (alive_) wait(counted_.in_packets != packets || (held_back_ && !writing()));
  }
  break_off("closed here");
}

void SshChannels::Loop::take_new_lines() {
  std::lock_guard lock(mutex_);
  lines_.splice(lines_.end(), fresh_);
}

void SshChannels::Loop::wait(bool look_only) {
  ssh_session session = session_.get();
  const bool busy = writing();
  std::vector<pollfd> waits = {
      {wake_.get(), POLLIN, 0},
      {ssh_get_fd(session), static_cast<short>(busy ? POLLIN | POLLOUT : POLLIN), 0}};
  int most = look_only ? 0 : -1;
  const auto until = [&](Deadline deadline) {
    const int left = deadline.poll_timeout();
    if (left >= 0) most = most < 0 ? left : std::min(most, left);
  };
  for (Line& line : lines_) {
    short events = 0;
    if (line.open && !line.local_ended && line.outwards.empty() && !busy) events |= POLLIN;
    if (line.open && !line.inwards.empty()) events |= POLLOUT;
    waits.push_back({line.hung_up ? -1 : line.local.get(), events, 0});
    until(line.open ? line.lingers : line.opened_by);
    if (!line.open && !line.channel) until(line.again);
  }
  if (::poll(waits.data(), waits.size(), most) < 0) return;
  if (waits[0].revents) {
    eventfd_t count = 0;
    ::eventfd_read(wake_.get(), &count);
  }
  if (waits[1].revents) read_connection();
  size_t at = 2;
  for (Line& line : lines_) {
    if (waits[at++].revents & (POLLHUP | POLLERR)) line.hung_up = true;
  }
}

void SshChannels::Loop::read_connection() {
  for (int i = 0; i < kReadsAtOnce; ++i) {
    const int result = ssh_event_dopoll(event_, 0);
    if (result == SSH_ERROR) dead_ = true;
    if (result != SSH_OK) return;
  }
}

void SshChannels::Loop::read_user(Line& line) {
  if (line.local_ended || !line.outwards.empty()) return;
  const ssize_t got = ::recv(line.local.get(), line.outwards.room(), kBuffer, MSG_DONTWAIT);
  if (got > 0) line.outwards.filled(static_cast<size_t>(got));
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) line.local_ended = true;
}

bool SshChannels::Loop::step(Line& line) {
  if (!line.open) open_step(line);
  if (!line.open) {
    if (!line.refused) return true;
    std::lock_guard lock(mutex_);
    --count_;
    return false;
  }
  if (!alive_) return true;
  move_outwards(line);
  move_inwards(line);
  read_errors(line);
  // Its user is gone: what comes from afar is for nobody.
  if (line.hung_up && line.local_ended && line.outwards.empty()) line.local_gone = true;
  if (line.local_gone && line.lingers.poll_timeout() < 0) line.lingers = Deadline::after(kLinger);
  if (!ended(line) && !line.lingers.passed()) return true;
  close(line);
  std::lock_guard lock(mutex_);
  --count_;
  return false;
}

// Opens the channel and asks for what is wanted, as far as libssh comes without waiting.
int SshChannels::Loop::ask_for(Line& line) {
  const SshChannels::Wanted& wanted = line.wanted;
  int result = SSH_OK;
  if (!line.asked) {
    result = wanted.host.empty()
                 ? ssh_channel_open_session(line.channel)
                 : ssh_channel_open_forward(line.channel, wanted.host.c_str(), wanted.port, "127.0.0.1", 0);
    line.asked = result == SSH_OK;
  }
  if (line.asked && wanted.host.empty())
    result = ssh_channel_request_exec(line.channel, wanted.command.c_str());
  return result;
}

void SshChannels::Loop::open_step(Line& line) {
  if (!line.channel) {
    if (line.opened_by.passed()) return refuse(line, line.refusal);
    if (!line.again.passed()) return;
    line.channel = ssh_channel_new(session_.get());
  }
  const int result = ask_for(line);
  if (result == SSH_OK) {
    line.open = true;
    line.opened.set_value({});
  } else if (result != SSH_AGAIN) {
    const std::string why = one_line(ssh_get_error(session_.get()));
    ssh_channel_free(std::exchange(line.channel, nullptr));
    // sshd takes a moment to let go of the programs that have ended, and until then they count.
    const bool busy =
        line.wanted.host.empty() && !line.asked && ++line.refusals < kRefusals && !line.opened_by.passed();
    if (!busy) return refuse(line, why);
    line.again = Deadline::after(kPause * line.refusals);
    line.refusal = why;
  } else if (line.opened_by.passed()) {
    // A channel that is half open cannot be taken back, and who does not answer this answers nothing else.
    break_off("it stopped answering while a program was started");
  }
}

void SshChannels::Loop::refuse(Line& line, const std::string& why) {
  line.refused = true;
  line.opened.set_value(Error{Cause::unreachable, why});
}

void SshChannels::Loop::move_outwards(Line& line) {
  while (ssh_channel_is_open(line.channel) && !writing()) {
    read_user(line);
    const size_t room = ssh_channel_window_size(line.channel);
    if (room == 0 || line.outwards.empty()) break;
    const int sent = ssh_channel_write(line.channel, line.outwards.data(),
                                       static_cast<uint32_t>(std::min(room, line.outwards.size())));
    if (sent <= 0) break;
    line.outwards.used(static_cast<size_t>(sent));
  }
  if (writing()) held_back_ = true;
  if (!ssh_channel_is_open(line.channel)) {
    line.outwards.drop();
    line.local_ended = true;
  }
  if (line.local_ended && line.outwards.empty() && !std::exchange(line.told_far, true))
    ssh_channel_send_eof(line.channel);
}

void SshChannels::Loop::move_inwards(Line& line) {
  while (true) {
    while (!line.inwards.empty()) {
      if (line.local_gone) {
        line.inwards.drop();
        break;
      }
      const ssize_t sent =
          ::send(line.local.get(), line.inwards.data(), line.inwards.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
      if (sent < 0) {
        line.local_gone = line.local_ended = true;
        continue;
      }
      line.inwards.used(static_cast<size_t>(sent));
    }
    const int got = ssh_channel_read_nonblocking(line.channel, line.inwards.room(), kBuffer, 0);
    if (got <= 0) break;
    line.inwards.filled(static_cast<size_t>(got));
  }
  if (line.inwards.empty() && ssh_channel_poll(line.channel, 0) == SSH_EOF &&
      !std::exchange(line.told_local, true)) {
    ::shutdown(line.local.get(), SHUT_WR);
  }
}

void SshChannels::Loop::read_errors(Line& line) {
  char text[kErrorBytes];
  while (true) {
    const int got = ssh_channel_read_nonblocking(line.channel, text, sizeof text, 1);
    if (got <= 0) return;
    line.end->say({text, static_cast<size_t>(got)});
  }
}

bool SshChannels::Loop::ended(Line& line) {
  return line.inwards.empty() && ssh_channel_is_closed(line.channel) && ssh_channel_is_eof(line.channel);
}

void SshChannels::Loop::close(Line& line) {
  const bool by_itself = ended(line);
  line.end->finish(by_itself ? ssh_channel_get_exit_status(line.channel) : -1, "");
  ssh_channel_free(std::exchange(line.channel, nullptr));
}

void SshChannels::Loop::break_off(const std::string& why) {
  std::lock_guard lock(mutex_);
  alive_ = false;
  lines_.splice(lines_.end(), fresh_);
  const std::string reason = "the connection ended: " + why;
  for (Line& line : lines_) {
    if (!line.open) line.opened.set_value(Error{Cause::unreachable, reason});
    line.open = true;  // answered
    line.end->finish(-1, reason);
    ::shutdown(line.local.get(), SHUT_RDWR);
  }
  // Their channels go with the session.
  if (ending_) lines_.clear();
}

SshChannels::SshChannels(SshHandle session) : loop_(std::make_unique<Loop>(std::move(session))) {}
SshChannels::~SshChannels() = default;

Result<FarProgram> SshChannels::open(Wanted wanted, Deadline deadline, const StopSignal* stop) {
  return loop_->open(std::move(wanted), deadline, stop);
}

bool SshChannels::alive() const { return loop_->alive(); }

}  // namespace gnnflow
