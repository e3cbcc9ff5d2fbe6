// Keys of hosts that are met for the first time: shown, and recorded once somebody agrees.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "orchestrator/remote/ssh_session.h"

namespace gnnflow {

// What came of asking one host for its key.
struct Acquaintance {
  SshTarget target;
  std::optional<MetHostKey> met = {};  // a key that is not known: the host's, or of a jump on the way to it
  std::optional<Error> error = {};     // it could not be asked, or a key is refused
  KeyVerdict verdict = KeyVerdict::known;  // of that key
};

// Asks all of them at once, up to the first key that is not known; nobody logs in to a host whose key is not.
std::vector<Acquaintance> ask_for_keys(const std::vector<SshTarget>& targets);

// The keys that could be recorded, each once.
std::vector<MetHostKey> new_keys(const std::vector<Acquaintance>& met);

// "node1  node1:22  ssh-ed25519 SHA256:...  new", line by line; of others why there is no key to record.
std::string keys_text(const std::vector<Acquaintance>& met);

}  // namespace gnnflow
