// known_hosts files: which key a host is expected to show, and what a key that it did show means.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/file.h"
#include "common/base/result.h"

namespace gnnflow {

struct HostKey {
  std::string type;  // "ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"
  std::string blob;  // as it travels, not base64

  std::string fingerprint() const;  // "SHA256:..."
  bool operator==(const HostKey&) const = default;
};
Result<HostKey> parse_host_key(std::string_view base64);  // as files hold it; its type stands in it

enum class KeyVerdict {
  known,
  unknown,     // no line names the host
  changed,     // a line names it with another key of this type
  other_type,  // lines name it with keys of other types only
  revoked,     // an @revoked line has this key
};

struct KeyFinding {
  KeyVerdict verdict = KeyVerdict::unknown;
  std::string place;  // "file:line" of the line that decided; empty when unknown
  HostKey recorded;   // the key of that line
};

// What OpenSSH's known_hosts(5) says: names in plain and hashed form, patterns, negations, [host]:port,
// @revoked. A line that cannot be read is passed over, and so are certificate authorities. A plain value.
class KnownHosts {
 public:
  // In this order; files that are not there are empty. Others that cannot be read are an error.
  static Result<KnownHosts> read(const std::vector<fs::path>& files);

  // A port without a line of its own, [host]:port, goes by the bare host's, when that has this very key.
  KeyFinding look(std::string_view host, int port, const HostKey& key) const;
  // Types of the keys that are recorded for it, in the files' order: what to ask the host for.
  std::vector<std::string> types(std::string_view host, int port) const;

 private:
  struct Line {
    std::string place, names;
    bool revoked = false;
    HostKey key;
  };
  static void parse(std::string_view text, const std::string& file, std::vector<Line>& lines);
  std::vector<const Line*> lines_for(std::string_view host, int port) const;
  std::vector<Line> lines_;
};

std::string known_hosts_name(std::string_view host, int port);  // "node", "[node]:2222"
std::string known_hosts_line(std::string_view host, int port, const HostKey& key);
// Adds that line, durably, in place of those that this function wrote for the host and type; the file has
// mode 0600.
Status record_host_key(const fs::path& file, std::string_view host, int port, const HostKey& key);

}  // namespace gnnflow
