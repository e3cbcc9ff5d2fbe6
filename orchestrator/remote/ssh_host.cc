// Sessions and programs of a far host: opened at the first use, again when they broke.
#include "orchestrator/remote/ssh_host.h"

#include <algorithm>
#include <list>
#include <thread>

#include <fmt/format.h>

#include "common/base/text.h"
#include "orchestrator/remote/bootstrap.h"
#include "orchestrator/remote/daemon_log.h"
#include "orchestrator/remote/ssh_connect.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kOpenLimit{45'000};    // a session with gnnflow-receive on it
constexpr Milliseconds kCleanLimit{10'000};   // the same, once the stop signal is raised
constexpr Milliseconds kCutPatience{45'000};  // of a transfer that had begun
constexpr Milliseconds kBetweenTries{500};
constexpr Milliseconds kPollPause{50};
constexpr Milliseconds kRelayKept{10'000};  // it ends by itself after 30 s of silence
constexpr int kNotFound = 127;              // says the shell

std::string rate(int64_t bytes, Milliseconds took) {
  return fmt::format("{} in {:.1f} s", format_bytes(static_cast<double>(bytes)),
                     static_cast<double>(took.count()) / 1000);
}

// How long one call of ours may take, and what ends it early.
struct Patience {
  Deadline deadline;
  const StopSignal* stop;  // null: the caller cleans up there
};

// Asked once, when a call begins. Whoever calls when the signal is raised already has to clean up there: that
// is done all the same.
Patience patience_of(Deadline deadline, const StopSignal& stop) {
  return {deadline, stop.raised() ? nullptr : &stop};
}

// For cleaning up an opening is not waited for as long.
Patience for_opening(const Patience& patience) {
  if (patience.stop) return patience;
  return {Deadline::after(std::min(kCleanLimit, patience.deadline.left())), nullptr};
}

Status unless_stopped(const StopSignal* stop) {
  return stop && stop->raised() ? Status(Error{stop->cause(), "stopped"}) : Status();
}

}  // namespace

Result<Bundle> OwnPrograms::bundle() {
  std::lock_guard lock(mutex_);
  if (bundle_) return *bundle_;
  std::vector<fs::path> programs = {folder_ / "gnnflow-worker"};
  std::error_code error;
  if (fs::exists(folder_ / "gnnflow-trainer", error)) programs.push_back(folder_ / "gnnflow-trainer");
  TRY(Bundle made, make_bundle(programs));
  bundle_ = std::move(made);
  return *bundle_;
}

struct SshHost::State {
  explicit State(SshHostOptions told) : options(std::move(told)) {
    if (!options.own) options.own = std::make_shared<OwnPrograms>(options.programs);
    settings.gate = options.gate;
  }

  // A daemon's connection: the session lives as long as somebody uses it.
  struct Relay {
    std::unique_ptr<SshSession> session;
    FarEnd end;
  };
  struct ReadyRelay {
    MessageLink link;
    FarEnd end;
    Monotonic since;
  };

  SshHostOptions options;
  SshSettings settings;
  StopSignal never;
  std::list<Relay> relays;
  std::optional<ReadyRelay> ready;  // opened to see whether the daemon answers
  std::unique_ptr<SshSession> session;
  bool doubtful = false;          // the session's line may be dead without its socket knowing yet
  std::optional<FarFiles> files;  // ends before its session
  std::optional<FarEnd> files_end;
  std::optional<FarPlace> place;
  std::optional<PreparedBundle> bundle;
  int64_t bytes_sent = 0;
  mutable std::mutex mutex;
  fs::path workspace;       // guarded by mutex: absolute once it is known
  std::string address;      // guarded by mutex
  std::string preparation;  // guarded by mutex

  fs::path root() const;
  FarFolder at(const fs::path& path = {}) const { return {root(), path}; }
  const StopSignal& stop() const { return options.stop ? *options.stop : never; }
  void tell(std::string text) {
    std::lock_guard lock(mutex);
    preparation = std::move(text);
  }

  Result<std::unique_ptr<SshSession>> open_session(const Patience& patience);
  Result<bool> open_files(const Patience& patience);  // true: they were not open
  Status open_receiver(const Patience& patience);
  template <typename T>
  Result<T> with_files(const Patience& patience, const std::function<Result<T>(FarFiles&)>& work);
  Status move(const std::function<Status(FarFiles&, const TransferProgress&)>& work,
              const TransferProgress& progress, const StopSignal* ear);
  Status prepare(Patience& patience);
  Result<bool> daemon_alive(const StopSignal* ear);
  Result<bool> spawn(Milliseconds lease, Milliseconds grace, const Patience& patience);
  Result<FarLink> open_relay(const Patience& patience);
  Error with_log(Error error, const Patience& patience);
};

fs::path SshHost::State::root() const {
  std::lock_guard lock(mutex);
  if (!workspace.empty()) return workspace / options.store_id / options.target.name;
  const std::string& told = options.workspace;
  const bool has_place = told.starts_with('/') || told == "~" || told.starts_with("~/");
  return fs::path(has_place ? told : "~/" + told) / options.store_id / options.target.name;
}

Result<std::unique_ptr<SshSession>> SshHost::State::open_session(const Patience& patience) {
  SshSettings hears = settings;
  hears.stop = patience.stop;
  return SshSession::open(options.target, patience.deadline, hears);
}

Status SshHost::State::open_receiver(const Patience& patience) {
  const auto& [deadline, ear] = patience;
  if (!place) {
    TRY(place, bring_receiver(*session, options.workspace, options.own->receive(), deadline, ear));
    bytes_sent += place->bytes_sent;
    std::lock_guard lock(mutex);
    workspace = place->workspace;
  }
  Result<FarLink> link = start_messages(*session, place->receive, deadline, ear);
  if (!link) {
    // It may have been taken away since it was brought: looked at again by the next call.
    place.reset();
    return std::move(link).error();
  }
  files_end = link->end;
  TRY(files, FarFiles::open(std::move(link->link), deadline, {}, ear).within(session->place()));
  return {};
}

Result<bool> SshHost::State::open_files(const Patience& patience) {
  std::erase_if(relays, [](const Relay& relay) { return relay.end.status(Deadline::after({})).has_value(); });
  if (files && !files->broken() && session->alive()) return false;
  files.reset();
  const Patience opening = for_opening(patience);
  if (!session || !session->alive() || doubtful) {
    session.reset();
    TRY(session, open_session(opening));
    doubtful = false;
    std::lock_guard lock(mutex);
    address = session->address();
  }
  doubtful = true;
  TRY(open_receiver(opening));
  doubtful = false;
  return true;
}

template <typename T>
Result<T> SshHost::State::with_files(const Patience& patience,
                                     const std::function<Result<T>(FarFiles&)>& work) {
  for (bool again = false;; again = true) {
    TRY(bool fresh, open_files(patience));
    Result<T> result = work(*files);
    if (result || !files->broken()) return std::move(result).within(session->place());
    Error error = std::move(result).error();
    files.reset();
    doubtful = true;
    const bool was_idle = !fresh && !again && error.cause == Cause::unreachable;
    if (was_idle) continue;
    if (const std::string words = files_end->last_words(); !words.empty()) error.message += ": " + words;
    return std::move(error).within(session->place());
  }
}

// Goes on where it broke, for as long as a cut of the line may last since it was brought further, unless it
// is for cleaning up.
Status SshHost::State::move(const std::function<Status(FarFiles&, const TransferProgress&)>& work,
                            const TransferProgress& progress, const StopSignal* ear) {
  int64_t most = -1;
  Deadline patience = Deadline::after({});
  while (true) {
    const int64_t before = most;
    const TransferProgress told = [&](int64_t done) {
      most = std::max(most, done);
      if (progress) progress(done);
    };
    Status moved =
        with_files<void>({Deadline::after(kOpenLimit), ear}, [&](FarFiles& far) { return work(far, told); });
    const bool broke = !moved && moved.error().cause == Cause::unreachable && !files;
    if (!broke || most < 0 || !ear || ear->raised()) return moved;
    if (most > before) {
      patience = Deadline::after(kCutPatience);
    } else if (patience.passed()) {
      return moved;
    }
    if (!wait_for(-1, 0, Deadline::after(kBetweenTries), ear)) return moved;  // why it broke says more
  }
}

// Its time does not count: bytes move, and each of them has a deadline of its own.
Status SshHost::State::prepare(Patience& patience) {
  if (bundle) return {};
  const Milliseconds left = patience.deadline.left();
  TRY(Bundle made, options.own->bundle());
  const auto began = system_clock().now();
  const double whole = static_cast<double>(made.bytes());
  const auto progress = [&](int64_t done) {
    tell(fmt::format("sending programs: {} of at most {}", format_bytes(static_cast<double>(done)),
                     format_bytes(whole)));
  };
  const auto work = [&](FarFiles& far, const TransferProgress& told) -> Status {
    TRY(unless_stopped(patience.stop));
    TRY(check_fits(made, far.greeting()));
    TRY(bundle, prepare_bundle(far, made, place->workspace, told, stop()));
    return {};
  };
  TRY(move(work, progress, patience.stop));
  const auto took = std::chrono::duration_cast<Milliseconds>(system_clock().now() - began);
  bytes_sent += bundle->bytes_sent;
  tell(bytes_sent == 0 ? std::string("programs were there, nothing sent")
                       : fmt::format("programs sent: {}", rate(bytes_sent, took)));
  patience.deadline = Deadline::after(left);
  return {};
}

Error SshHost::State::with_log(Error error, const Patience& patience) {
  Result<std::string> log = with_files<std::string>(
      patience, [&](FarFiles& far) { return far.read(at(), "daemon.log", kMostDaemonLog); });
  if (log && !trimmed(*log).empty())
    error.message += fmt::format("; {} says: {}", (root() / "daemon.log").string(), last_lines(*log));
  return error;
}

Result<bool> SshHost::State::daemon_alive(const StopSignal* ear) {
  return with_files<bool>({Deadline::after(kOpenLimit), ear},
                          [&](FarFiles& far) { return far.held(at(), "lock"); });
}

// False: another was first. It hears no stop signal: what has begun to start has to be ended.
Result<bool> SshHost::State::spawn(Milliseconds lease, Milliseconds grace, const Patience& patience) {
  std::vector<std::string> words = bundle_command(bundle->folder, "gnnflow-worker");
  words.insert(words.end(), {"daemon", "--root", root().string(), "--store", options.store_id, "--host",
                             options.target.name, "--lease", std::to_string(lease.count()), "--grace",
                             std::to_string(grace.count()), "--background"});
  TRY(FarRun run, session->run(join(words, " "), "", patience.deadline));
  if (run.status == 0) return true;
  const std::string where = session->place();  // the question may find the session gone
  Result<bool> alive = daemon_alive(patience.stop);
  if (alive && *alive) return false;
  if (run.status == kNotFound) bundle.reset();  // taken away since: brought again by the next call
  std::string said = last_lines(run.errors);
  if (said.empty()) said = run.status < 0 ? "it was killed" : fmt::format("exit code {}", run.status);
  const bool full = run.status == exit_code(Cause::no_resources);
  return with_log({full ? Cause::no_resources : Cause::unreachable,
                   fmt::format("{}: its daemon did not start: {}", where, said)},
                  patience);
}

Result<FarLink> SshHost::State::open_relay(const Patience& patience) {
  const Patience opening = for_opening(patience);
  TRY(auto opened, open_session(opening));
  std::vector<std::string> words = bundle_command(bundle->folder, "gnnflow-worker");
  words.insert(words.end(), {"relay", "--root", root().string()});
  TRY(FarLink link, start_messages(*opened, join(words, " "), opening.deadline, opening.stop));
  relays.push_back({std::move(opened), link.end});
  return link;
}

SshHost::SshHost(SshHostOptions options) : state_(std::make_unique<State>(std::move(options))) {}
SshHost::~SshHost() = default;

const std::string& SshHost::name() const { return state_->options.target.name; }
fs::path SshHost::root() const { return state_->root(); }

std::string SshHost::address() const {
  std::lock_guard lock(state_->mutex);
  return state_->address;
}

std::string SshHost::preparation() const {
  std::lock_guard lock(state_->mutex);
  return state_->preparation;
}

Status SshHost::start_daemon(Milliseconds lease, Milliseconds grace, Deadline deadline) {
  State& at = *state_;
  at.ready.reset();
  Patience patience = patience_of(deadline, at.stop());
  TRY(at.open_files(patience));
  TRY(at.prepare(patience));
  bool spawned = false;
  while (true) {
    // What we have started is there to be ended; for what we have not, the stop signal ends the call.
    if (spawned) patience = patience_of(patience.deadline, at.stop());
    if (!spawned) TRY(unless_stopped(patience.stop).within(at.session->place()));
    TRY(bool alive, at.daemon_alive(patience.stop));
    if (!alive && spawned) {
      return at.with_log({Cause::unreachable,
                          fmt::format("{}: its daemon ended as soon as it had started", at.session->place())},
                         patience);
    }
    if (!alive) {
      TRY(spawned, at.spawn(lease, grace, patience));
      if (spawned) patience = patience_of(patience.deadline, at.stop());
    }
    Result<FarLink> relay = at.open_relay(patience);
    if (relay) {
      at.ready.emplace(std::move(relay->link), relay->end, system_clock().now());
      return {};
    }
    if (patience.deadline.passed()) {
      return at.with_log({Cause::unreachable, "its daemon does not answer: " + relay.error().message},
                         {Deadline::after(kOpenLimit), patience.stop});
    }
    std::this_thread::sleep_for(std::min(kPollPause, patience.deadline.left()));
  }
}

Result<bool> SshHost::daemon_alive() {
  return state_->daemon_alive(patience_of(Deadline::never(), state_->stop()).stop);
}

Result<MessageLink> SshHost::connect(Deadline deadline) {
  State& at = *state_;
  std::optional<State::ReadyRelay> ready = std::exchange(at.ready, std::nullopt);
  const bool fresh = ready && system_clock().now() - ready->since < kRelayKept;
  if (fresh && !ready->end.status(Deadline::after({}))) return std::move(ready->link);
  ready.reset();
  Patience patience = patience_of(deadline, at.stop());
  TRY(at.open_files(patience));
  TRY(at.prepare(patience));
  TRY(FarLink relay, at.open_relay(patience));
  return std::move(relay.link);
}

Status SshHost::put(const fs::path& from, const std::vector<HostFile>& files, const fs::path& to,
                    const TransferProgress& progress, const StopSignal& stop) {
  TRY(unless_stopped(&stop).within("host " + name()));
  return state_->move(
      [&](FarFiles& far, const TransferProgress& told) {
        return far.put(from, files, state_->at(to), told, stop);
      },
      progress, &stop);
}

Status SshHost::get(const fs::path& from, const std::vector<HostFile>& files, const fs::path& to,
                    const TransferProgress& progress, const StopSignal& stop) {
  TRY(unless_stopped(&stop).within("host " + name()));
  return state_->move(
      [&](FarFiles& far, const TransferProgress& told) {
        return far.get(state_->at(from), files, to, told, stop);
      },
      progress, &stop);
}

Result<std::vector<bool>> SshHost::check(const std::vector<HostFile>& files, const fs::path& at, bool digests,
                                         const StopSignal& stop) {
  TRY(unless_stopped(&stop).within("host " + name()));
  return state_->with_files<std::vector<bool>>({Deadline::after(kOpenLimit), &stop}, [&](FarFiles& far) {
    return far.check(state_->at(at), files, digests, stop);
  });
}

Result<std::string> SshHost::read(const fs::path& path, int64_t limit) {
  return state_->with_files<std::string>(patience_of(Deadline::after(kOpenLimit), state_->stop()),
                                         [&](FarFiles& far) { return far.read(state_->at(), path, limit); });
}

Result<std::string> SshHost::read_from(const fs::path& path, int64_t offset, int64_t limit) {
  return state_->with_files<std::string>(
      patience_of(Deadline::after(kOpenLimit), state_->stop()),
      [&](FarFiles& far) { return far.read_from(state_->at(), path, offset, limit); });
}

}  // namespace gnnflow
