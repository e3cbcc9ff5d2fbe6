// sshd, started in the foreground as a group of its own.
#include "tests/support/throwaway_sshd.h"

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/text.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kLimit{30'000};
const fs::path kServer = "/usr/sbin/sshd";

// Its children, theirs, and so on. Each connection's sshd is a session of its own.
std::vector<int> descendants(int top) {
  std::vector<std::pair<int, int>> parents;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const auto pid = parse_integer(entry.path().filename().string());
    const std::string stat = pid ? read_file(entry.path() / "stat").value_or("") : "";
    const std::vector<std::string> fields =
        split(stat.substr(std::min(stat.rfind(')') + 2, stat.size())), ' ');
    if (fields.size() > 1) parents.emplace_back(*pid, static_cast<int>(parse_integer(fields[1]).value_or(0)));
  }
  std::vector<int> found = {top};
  for (size_t i = 0; i < found.size(); ++i) {
    for (const auto& [pid, parent] : parents) {
      if (parent == found[i]) found.push_back(pid);
    }
  }
  found.erase(found.begin());
  return found;
}

std::string mark(const fs::path& home) { return home.string(); }

int free_port() {
  FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    bug("no free port");
  }
  return ntohs(address.sin_port);
}

std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? std::optional<std::string>(value) : std::nullopt;
}

void set_variable(const char* name, const std::optional<std::string>& value) {
  if (value) {
    ::setenv(name, value->c_str(), 1);
  } else {
    ::unsetenv(name);
  }
}

}  // namespace

void make_ssh_key(const fs::path& file, const std::string& type, const std::string& passphrase) {
  ChildOptions options;
  options.argv = {"/usr/bin/ssh-keygen", "-q", "-t", type, "-N", passphrase, "-C", "test", "-f",
                  file.string()};
  if (Result<std::string> made = run_and_read(options, Deadline::after(kLimit)); !made)
    bug(made.error().message);
}

bool ThrowawaySshd::is_installed() { return ::access(kServer.c_str(), X_OK) == 0; }

ThrowawaySshd::ThrowawaySshd(std::vector<std::string> lines) : lines_(std::move(lines)) {
  make_ssh_key(dir_ / "user_key");
  std::error_code error;
  fs::copy_file(dir_ / "user_key.pub", dir_ / "authorized_keys", error);
  if (error || !create_folders(home())) bug("cannot write " + dir_.path().string());
  // sshd asks for it when root starts it.
  if (::geteuid() == 0) ::mkdir("/run/sshd", 0755);
  user_ = ::getpwuid(::geteuid())->pw_name;
  change_host_key();
}

ThrowawaySshd::~ThrowawaySshd() { stop(); }

std::string ThrowawaySshd::host_key() const {
  const std::vector<std::string> words = split(read_file(dir_ / "host_key.pub").value_or(""), ' ');
  return words.size() < 2 ? "" : words[0] + " " + words[1];
}

std::string ThrowawaySshd::known_hosts_line() const {
  return fmt::format("[127.0.0.1]:{} {}\n", port_, host_key());
}

void ThrowawaySshd::change_host_key(const std::string& type) {
  stop();
  for (const char* name : {"host_key", "host_key.pub"}) (void)::unlink((dir_ / name).c_str());
  make_ssh_key(dir_ / "host_key", type);
  start();
}

void ThrowawaySshd::start() {
  const Deadline deadline = Deadline::after(kLimit);
  while (!server_) {
    if (deadline.passed()) bug("sshd does not start: " + read_file(dir_ / "log").value_or(""));
    if (port_ == 0) port_ = free_port();
    std::string text = join(lines_, "\n");
    text += fmt::format(
        "\nListenAddress 127.0.0.1:{}\nHostKey {}/host_key\nPidFile none\nUsePAM no\nStrictModes no\n"
        "AuthorizedKeysFile {}/authorized_keys\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "UseDNS no\nLogLevel VERBOSE\nPermitRootLogin yes\nSetEnv HOME={} THROWAWAY_SSHD={}\n",
        port_, dir_.path().string(), dir_.path().string(), home().string(), mark(home()));
    dir_.file("sshd_config", text);
    ChildOptions options;
    options.argv = {kServer.string(),       "-D", "-f", (dir_ / "sshd_config").string(), "-E",
                    (dir_ / "log").string()};
    options.output = dir_ / "output";
    Result<ChildProcess> started = ChildProcess::start(options);
    if (!started) bug(started.error().message);
    server_ = std::move(*started);
    const auto listens = [&] { return count_in_log("Server listening on ") > starts_; };
    while (!listens() && !deadline.passed() && !server_->wait(Deadline::after(Milliseconds(10)))) {
    }
    if (listens()) break;
    // Somebody else has the port.
    server_.reset();
    if (starts_ == 0) port_ = 0;
  }
  starts_ = count_in_log("Server listening on ");
}

void ThrowawaySshd::stop() {
  if (!server_) return;
  server_->signal(SIGSTOP);  // no more connections while they are counted
  for (const int pid : descendants(server_->pid())) ::kill(pid, SIGKILL);
  server_->signal(SIGKILL);
  (void)server_->wait(Deadline::after(kLimit));
  server_.reset();
  // What was started over its connections has groups of its own.
  const Deadline deadline = Deadline::after(kLimit);
  while (!deadline.passed()) {
    const std::vector<int> left = processes_with("THROWAWAY_SSHD", mark(home()));
    if (left.empty()) return;
    for (const int pid : left) ::kill(pid, SIGKILL);
    ::usleep(10'000);
  }
}

int ThrowawaySshd::count_in_log(std::string_view words) const {
  const std::string log = read_file(dir_ / "log").value_or("");
  int count = 0;
  for (size_t at = log.find(words); at != std::string::npos; at = log.find(words, at + 1)) ++count;
  return count;
}

SshHome::SshHome() : home_(variable("HOME")), agent_(variable("SSH_AUTH_SOCK")) {
  set_variable("HOME", dir_.path().string());
  set_variable("SSH_AUTH_SOCK", std::nullopt);
}

SshHome::~SshHome() {
  set_variable("HOME", home_);
  set_variable("SSH_AUTH_SOCK", agent_);
}

}  // namespace gnnflow
