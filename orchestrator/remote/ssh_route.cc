// Options of libssh, in the one order in which its parser leaves ours and the user's alone.
#include "orchestrator/remote/ssh_route.h"

#include <optional>

#include <fmt/format.h>
#include <libssh/callbacks.h>
#include <libssh/libssh.h>

#include "common/base/home.h"
#include "common/base/text.h"

namespace gnnflow {
namespace {

// The fastest on machines with AES instructions; then what libssh prefers.
constexpr const char* kCiphers =
    "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr,aes192-ctr,"
    "aes128-ctr";

class Options {
 public:
  explicit Options(ssh_session session) : session_(session) {}
  void set(ssh_options_e option, const void* value) {
    if (ssh_options_set(session_, option, value) != SSH_OK && status_)
      status_ = Error{Cause::unreachable, std::string("ssh options: ") + ssh_get_error(session_)};
  }
  void set(ssh_options_e option, const std::string& value) {
    if (!value.empty()) set(option, static_cast<const void*>(value.c_str()));
  }
  std::string get(ssh_options_e option) const {
    char* value = nullptr;
    if (ssh_options_get(session_, option, &value) != SSH_OK) return {};
    std::string text = value;
    ssh_string_free_char(value);
    return text;
  }
  Status status() { return std::move(status_); }

 private:
  ssh_session session_;
  Status status_;
};

void say_nothing(int, const char*, const char*, void*) {}

fs::path expanded(const std::string& path) {
  if (path.starts_with("~/")) return home_folder().value_or("/") / path.substr(2);
  if (path.starts_with("%d/")) return home_folder().value_or("/") / ".ssh" / path.substr(3);
  return path;
}

std::vector<std::string> words_of(const std::string& command) {
  std::vector<std::string> words;
  for (const std::string& word : split(command, ' ')) {
    const std::string bare(trimmed(word));
    if (!bare.empty()) words.push_back(bare);
  }
  return words;
}

// [user@]host[:port], [user@][host]:port
SshTarget jump_named(std::string_view text) {
  SshTarget jump;
  if (const size_t at = text.rfind('@'); at != std::string_view::npos) {
    jump.user = text.substr(0, at);
    text.remove_prefix(at + 1);
  }
  const size_t colon = text.rfind(':');
  const bool bracketed = text.starts_with('[');
  // More than one colon outside brackets is an address of version 6.
  if (colon != std::string_view::npos && (bracketed ? text[colon - 1] == ']' : text.find(':') == colon)) {
    jump.port = static_cast<int>(parse_integer(text.substr(colon + 1)).value_or(0));
    text = text.substr(0, colon);
  }
  if (bracketed && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  jump.address = text;
  return jump;
}

// `ssh [-l user] [-p port] [-J jump,...] -W %h:%p host`.
struct JumpCommand {
  SshTarget last;                 // its host
  std::vector<std::string> rest;  // of -J
  bool of_libssh = false;         // made out of a ProxyJump: then `last` is the nearest
};

std::optional<JumpCommand> jump_command(const std::vector<std::string>& words) {
  if (words.empty() || words[0] != "ssh") return std::nullopt;
  JumpCommand asked;
  SshTarget& last = asked.last;
  bool forwards = false;
  for (size_t i = 1; i < words.size(); ++i) {
    const std::string& word = words[i];
    const bool takes = word == "-l" || word == "-p" || word == "-J" || word == "-W";
    if (takes && ++i == words.size()) return std::nullopt;
    if (word == "-l") {
      last.user = words[i];
    } else if (word == "-p") {
      last.port = static_cast<int>(parse_integer(words[i]).value_or(0));
    } else if (word == "-J") {
      asked.rest = split(words[i], ',');
    } else if (word == "-W") {
      asked.of_libssh = words[i] == "'[%h]:%p'";
      forwards = asked.of_libssh || words[i] == "%h:%p" || words[i] == "[%h]:%p";
    } else if (word == "-q") {
      continue;
    } else if (word.starts_with('-') || !last.address.empty()) {
      return std::nullopt;
    } else {
      const SshTarget named = jump_named(word);
      last.address = named.address;
      if (last.user.empty()) last.user = named.user;
      if (last.port == 0) last.port = named.port;
    }
  }
  if (!forwards || last.address.empty()) return std::nullopt;
  return asked;
}

// What the files of the user's configuration say is added, where the entry says nothing.
Status set_options(Options& options, ssh_session session, const SshTarget& target) {
  options.set(SSH_OPTIONS_SSH_DIR, (home_folder().value_or("/") / ".ssh").string());
  options.set(SSH_OPTIONS_HOST, target.address);
  options.set(SSH_OPTIONS_USER, target.user);
  // Before the configuration, whose `Ciphers` takes their place.
  options.set(SSH_OPTIONS_CIPHERS_C_S, kCiphers);
  options.set(SSH_OPTIONS_CIPHERS_S_C, kCiphers);
  TRY(options.status());
  if (ssh_options_parse_config(session, nullptr) != SSH_OK) {
    return Error{Cause::unreachable,
                 fmt::format("the ssh configuration (~/.ssh/config, /etc/ssh/ssh_config) cannot be used: {}",
                             ssh_get_error(session))};
  }
  const int yes = 1, quiet = SSH_LOG_NOLOG;
  options.set(SSH_OPTIONS_NODELAY, &yes);
  options.set(SSH_OPTIONS_LOG_VERBOSITY, &quiet);
  if (target.port > 0) options.set(SSH_OPTIONS_PORT, &target.port);
  if (options.get(SSH_OPTIONS_USER).empty()) options.set(SSH_OPTIONS_USER, static_cast<const void*>(nullptr));
  return options.status();
}

}  // namespace

void SshClose::operator()(ssh_session_struct* session) const {
  // Not ssh_disconnect: that leaves a socket open which was handed in.
  ssh_free(session);
}

Result<std::vector<SshTarget>> jumps_of(const std::string& command, const SshTarget& target) {
  std::vector<SshTarget> jumps;
  if (command.empty() || lower(command) == "none") return jumps;
  const std::optional<JumpCommand> asked = jump_command(words_of(command));
  if (!asked) {
    return Error{
        Cause::unreachable,
        fmt::format("its ProxyCommand '{}' is not supported: write ProxyJump in ~/.ssh/config", command)};
  }
  for (const std::string& next : asked->rest) jumps.push_back(jump_named(next));
  jumps.insert(asked->of_libssh ? jumps.begin() : jumps.end(), asked->last);
  // `Host *` with a jump holds for the jump itself too: ssh goes there straight.
  if (jumps.back().address == target.address && (jumps.back().port == 0 || jumps.back().port == target.port))
    return std::vector<SshTarget>();
  for (SshTarget& jump : jumps) {
    jump.name = target.name;
    jump.known_hosts = target.known_hosts;
  }
  return jumps;
}

Result<SshRoute> find_route(const SshTarget& target) {
  SshRoute route;
  route.handle.reset(ssh_new());
  if (!route.handle) bug("no memory for an ssh session");
  ssh_session session = route.handle.get();
  ssh_set_blocking(session, 0);
  // `LogLevel` in the configuration would write to our stderr.
  ssh_set_log_callback(say_nothing);
  Options options(session);
  TRY(set_options(options, session, target));
  unsigned int port = 0;
  ssh_options_get_port(session, &port);
  route.port = static_cast<int>(port);
  route.user = options.get(SSH_OPTIONS_USER);
  route.host = options.get(SSH_OPTIONS_HOST);
  if (!target.identity.empty()) route.identity = expanded(target.identity.string());
  const std::string users = options.get(SSH_OPTIONS_KNOWNHOSTS);
  const std::string systems = options.get(SSH_OPTIONS_GLOBAL_KNOWNHOSTS);
  route.known_hosts = {users.empty() ? home_folder().value_or("/") / ".ssh" / "known_hosts" : expanded(users),
                       systems.empty() ? fs::path("/etc/ssh/ssh_known_hosts") : fs::path(systems)};
  if (!target.known_hosts.empty()) route.known_hosts.push_back(target.known_hosts);
  route.place = fmt::format("{}@{}:{}", route.user, route.host, route.port);
  TRY(route.jumps, jumps_of(options.get(SSH_OPTIONS_PROXYCOMMAND), target));
  return route;
}

}  // namespace gnnflow
