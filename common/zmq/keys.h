// CURVE key pairs. Secrets stay in memory of this host and are never written or logged.
#pragma once

#include <string>

#include "common/base/result.h"

namespace gnnflow {

struct KeyPair {
  std::string public_key, secret_key;  // Z85, 40 characters
};
Result<KeyPair> make_key_pair();
bool is_public_key(std::string_view text);

}  // namespace gnnflow
