// A real sshd on a port of the loopback interface, with keys, settings and a home folder of its own.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/base/child_process.h"
#include "common/base/file.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {

// Lets this user in with `identity`. It and what runs under it end with the object, and nothing of it stays.
class ThrowawaySshd {
 public:
  // `lines` are added to sshd_config, first: sshd takes what it reads first.
  explicit ThrowawaySshd(std::vector<std::string> lines = {});
  ~ThrowawaySshd();
  static bool is_installed();

  int port() const { return port_; }
  const std::string& user() const { return user_; }
  fs::path home() const { return dir_ / "home"; }  // of who logs in
  fs::path identity() const { return dir_ / "user_key"; }
  // "ssh-ed25519 AAAA..." of its host key.
  std::string host_key() const;
  // A line for known_hosts.
  std::string known_hosts_line() const;
  // How often somebody has connected to it, and logged in.
  int connections() const { return count_in_log("Connection from "); }
  int logins() const { return count_in_log("Accepted publickey for "); }

  // Another host key of this type from now on.
  void change_host_key(const std::string& type = "ed25519");
  void stop();   // connections break
  void start();  // on the same port

 private:
  int count_in_log(std::string_view words) const;
  TempDir dir_;
  const std::vector<std::string> lines_;
  std::string user_;
  int port_ = 0;
  int starts_ = 0;
  std::optional<ChildProcess> server_;
};

// A key pair made by ssh-keygen: FILE and FILE.pub.
void make_ssh_key(const fs::path& file, const std::string& type = "ed25519",
                  const std::string& passphrase = "");

// HOME and the agent as a test wants them, put back at the end: what is in ~/.ssh of whoever runs the tests
// must not count.
class SshHome {
 public:
  SshHome();
  ~SshHome();
  const fs::path& path() const { return dir_.path(); }
  void config(const std::string& text) const { dir_.file(".ssh/config", text); }

 private:
  TempDir dir_;
  std::optional<std::string> home_, agent_;
};

}  // namespace gnnflow
