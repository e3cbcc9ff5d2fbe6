// CURVE key pairs, made in memory.
#include "common/zmq/keys.h"

#include <array>
#include <cstdint>

#include <zmq.h>

namespace gnnflow {

constexpr size_t kZ85Length = 40;

Result<KeyPair> make_key_pair() {
  std::array<char, kZ85Length + 1> public_key{}, secret_key{};
  if (zmq_curve_keypair(public_key.data(), secret_key.data()) != 0) {
    return Error{Cause::failed, "making a CURVE key pair: this libzmq was built without CURVE"};
  }
  return KeyPair{public_key.data(), secret_key.data()};
}

bool is_public_key(std::string_view text) {
  if (text.size() != kZ85Length) return false;
  std::array<uint8_t, 32> decoded{};
  return zmq_z85_decode(decoded.data(), std::string(text).c_str()) != nullptr;
}

}  // namespace gnnflow
