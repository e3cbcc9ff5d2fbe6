// Handshake, host key, login: each step of libssh is asked again when its socket has something for it.
#include "orchestrator/remote/ssh_login.h"

#include <algorithm>
#include <functional>
#include <memory>

#include <fmt/format.h>
#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <poll.h>

#include "common/base/text.h"
#include "orchestrator/remote/ssh_connect.h"

namespace gnnflow {
namespace {

using Key = std::unique_ptr<ssh_key_struct, decltype(&ssh_key_free)>;
constexpr size_t kLongestTalk = 300;

Error unreachable(std::string message) { return {Cause::unreachable, std::move(message)}; }

std::string reason(ssh_session session) { return one_line(ssh_get_error(session), kLongestTalk); }

// Calls `step` until it returns something other than `again`; an error when the deadline passes first.
Result<int> drive(ssh_session session, int again, Deadline deadline, const StopSignal* stop,
                  const std::function<int()>& step) {
  while (true) {
    const int result = step();
    if (result != again) return result;
    const short events = (ssh_get_poll_flags(session) & SSH_WRITE_PENDING) ? POLLIN | POLLOUT : POLLIN;
    TRY(const short ready, wait_for(ssh_get_fd(session), events, deadline, stop));
    if (ready == 0) return unreachable("no answer");
  }
}

// Types that known_hosts has come first: a host with several keys shows the one that is known.
std::string host_key_algorithms(const std::vector<std::string>& known) {
  const std::vector<std::string> usual = {"ssh-ed25519",         "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
                                          "ecdsa-sha2-nistp521", "rsa-sha2-512",        "rsa-sha2-256"};
  std::vector<std::string> wanted;
  const auto add = [&](const std::string& name) {
    const bool usable = std::find(usual.begin(), usual.end(), name) != usual.end();
    if (usable && std::find(wanted.begin(), wanted.end(), name) == wanted.end()) wanted.push_back(name);
  };
  for (const std::string& type : known) {
    if (type == "ssh-rsa") {
      add("rsa-sha2-512");
      add("rsa-sha2-256");
    }
    add(type);
  }
  for (const std::string& type : usual) add(type);
  return join(wanted, ",");
}

Error refusal(const MetHostKey& met) {
  const std::string shown = fmt::format("{} {}", met.key.type, met.key.fingerprint());
  const std::string recorded =
      fmt::format("{} {}", met.finding.recorded.type, met.finding.recorded.fingerprint());
  switch (met.finding.verdict) {
    case KeyVerdict::changed:
      return unreachable(
          fmt::format("its host key has changed: it shows {}, but {} has {}; somebody may be listening in. "
                      "If the host was set up "
                      "anew, remove that line",
                      shown, met.finding.place, recorded));
    case KeyVerdict::other_type:
      return unreachable(
          fmt::format("it shows a host key of another type: {}, but {} has {}; if that is right, remove that "
                      "line and run `gnnflow "
                      "hosts trust FILE`",
                      shown, met.finding.place, recorded));
    case KeyVerdict::revoked:
      return unreachable(fmt::format("its host key {} is revoked in {}", shown, met.finding.place));
    case KeyVerdict::unknown:
    case KeyVerdict::known:
      break;
  }
  return unreachable(fmt::format(
      "its host key is not known: {}; compare it, then record it with `gnnflow hosts trust FILE`", shown));
}

Result<HostKey> shown_key(ssh_session session) {
  ssh_key raw = nullptr;
  if (ssh_get_server_publickey(session, &raw) != SSH_OK) return unreachable("it showed no host key");
  const Key key(raw, &ssh_key_free);
  char* base64 = nullptr;
  if (ssh_pki_export_pubkey_base64(key.get(), &base64) != SSH_OK)
    return unreachable("its host key cannot be read");
  Result<HostKey> parsed = parse_host_key(base64);
  ssh_string_free_char(base64);
  return parsed;
}

Status check_host_key(SshRoute& route, const KnownHosts& known, const MeetHostKey& meet) {
  TRY(HostKey key, shown_key(route.handle.get()));
  MetHostKey met{route.host, route.port, route.place, key, known.look(route.host, route.port, key)};
  if (met.finding.verdict == KeyVerdict::known) return {};
  if (meet) {
    TRY(bool good, meet(met));
    if (good) return {};
  }
  return refusal(met);
}

// Without an answer of ours OpenSSL would ask the terminal for the passphrase of a key.
int no_passphrase(const char*, char*, size_t, int, int, void*) { return -1; }

ssh_callbacks refusing_callbacks() {
  static ssh_callbacks_struct callbacks = [] {
    ssh_callbacks_struct made{};
    ssh_callbacks_init(&made);
    made.auth_function = no_passphrase;
    return made;
  }();
  return &callbacks;
}

// One try to log in, with the ways that are left in the order in which they are tried.
class Login {
 public:
  Login(SshRoute& route, Deadline deadline, const StopSignal* stop)
      : route_(route), session_(route.handle.get()), deadline_(deadline), stop_(stop) {}
  Status run();

 private:
  Result<int> ask(const std::function<int()>& step) {
    Result<int> answer = drive(session_, SSH_AUTH_AGAIN, deadline_, stop_, step);
    if (!answer && answer.error().cause == Cause::unreachable)
      return unreachable("it stopped answering while we logged in");
    return answer;
  }
  Result<int> try_identity();
  Error denied() const;
  Error broken() const { return unreachable("login: " + reason(session_)); }

  SshRoute& route_;
  ssh_session session_;
  const Deadline deadline_;
  const StopSignal* stop_;
  std::string about_identity_;
  int methods_ = 0;
};

Error Login::denied() const {
  std::vector<std::string> accepted;
  const std::pair<int, std::string> names[] = {{SSH_AUTH_METHOD_PUBLICKEY, "publickey"},
                                               {SSH_AUTH_METHOD_PASSWORD, "password"},
                                               {SSH_AUTH_METHOD_INTERACTIVE, "keyboard-interactive"},
                                               {SSH_AUTH_METHOD_HOSTBASED, "hostbased"},
                                               {SSH_AUTH_METHOD_GSSAPI_MIC, "gssapi-with-mic"}};
  for (const auto& [method, name] : names) {
    if (methods_ & method) accepted.push_back(name);
  }
  return unreachable(
      fmt::format("login refused: no key of ours is accepted for user '{}' ({}the agent's and those of "
                  "~/.ssh; it takes: {}); check "
                  "`user:` and `identity:` of the host, or its authorized_keys",
                  route_.user, about_identity_, join(accepted, ", ")));
}

Result<int> Login::try_identity() {
  const std::string path = route_.identity.string();
  std::error_code error;
  if (!fs::exists(route_.identity, error))
    return unreachable(fmt::format("identity {}: there is no such file", path));
  ssh_key raw = nullptr;
  if (ssh_pki_import_privkey_file(path.c_str(), nullptr, no_passphrase, nullptr, &raw) != SSH_OK) {
    // The agent may hold it.
    about_identity_ = path + ", which has a passphrase or cannot be read, ";
    return SSH_AUTH_DENIED;
  }
  const Key key(raw, &ssh_key_free);
  about_identity_ = path + ", ";
  return ask([&] { return ssh_userauth_publickey(session_, nullptr, key.get()); });
}

Status Login::run() {
  ssh_set_callbacks(session_, refusing_callbacks());
  TRY(int answer, ask([&] { return ssh_userauth_none(session_, nullptr); }));
  methods_ = ssh_userauth_list(session_, nullptr);
  if (answer == SSH_AUTH_DENIED && !(methods_ & SSH_AUTH_METHOD_PUBLICKEY)) return denied();
  if (answer == SSH_AUTH_DENIED && !route_.identity.empty()) {
    TRY(answer, try_identity());
  }
  if (answer == SSH_AUTH_DENIED) {
    TRY(answer, ask([&] { return ssh_userauth_publickey_auto(session_, nullptr, nullptr); }));
  }
  switch (answer) {
    case SSH_AUTH_SUCCESS:
      return {};
    case SSH_AUTH_DENIED:
      return denied();
    case SSH_AUTH_PARTIAL:
      return unreachable("login: it wants a second factor, which nobody is there to give");
    default:
      return broken();
  }
}

}  // namespace

Status shake_hands(SshRoute& route, FileDescriptor socket, Deadline deadline, const SshSettings& settings) {
  ssh_session session = route.handle.get();
  TRY(KnownHosts known, KnownHosts::read(route.known_hosts));
  const std::vector<std::string> types = known.types(route.host, route.port);
  if (!types.empty()) ssh_options_set(session, SSH_OPTIONS_HOSTKEYS, host_key_algorithms(types).c_str());
  const int descriptor = socket.release();
  ssh_options_set(session, SSH_OPTIONS_FD, &descriptor);
  const auto greeted = [&] { return ssh_get_serverbanner(session) != nullptr; };
  Result<int> shaken =
      drive(session, SSH_AGAIN, deadline, settings.stop, [&] { return ssh_connect(session); });
  if (!shaken) {
    if (shaken.error().cause != Cause::unreachable) return std::move(shaken).error();
    return unreachable(greeted() ? "it stopped answering while keys were exchanged"
                                 : "it accepts connections but says nothing; is that an ssh server?");
  }
  if (*shaken != SSH_OK) {
    const std::string why = reason(session);
    const bool dropped = !greeted() || why.find("MaxStartups") != std::string::npos;
    if (dropped) {
      return Error{Cause::temporary,
                   "it hung up before it said anything (" + why + "): too busy, or no ssh server"};
    }
    return unreachable("keys could not be exchanged: " + why);
  }
  return check_host_key(route, known, settings.meet);
}

Status log_in(SshRoute& route, Deadline deadline, const StopSignal* stop) {
  return Login(route, deadline, stop).run();
}

}  // namespace gnnflow
