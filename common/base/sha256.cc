// SHA-256 by libcrypto.
#include <array>

#include <openssl/evp.h>

#include "common/base/digest.h"
#include "common/base/text.h"

namespace gnnflow {

std::string sha256_of(std::span<const std::byte> bytes) {
  std::array<std::byte, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()), &size,
                 EVP_sha256(), nullptr) != 1)
    bug("SHA-256 failed");
  return hex(std::span(digest).first(size));
}

}  // namespace gnnflow
