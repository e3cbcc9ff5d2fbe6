// SHA-256 by libcrypto.
#include <array>
#include <memory>

#include <openssl/evp.h>

#include "common/base/digest.h"
#include "common/base/file_effects.h"
#include "common/base/text.h"

namespace gnnflow {
namespace {

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    if (!context_ || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1) bug("no SHA-256");
  }
  void add(std::span<const std::byte> bytes) {
    if (EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) != 1) bug("SHA-256 failed");
  }
  std::string text() {
    std::array<std::byte, EVP_MAX_MD_SIZE> digest;
    unsigned size = 0;
    if (EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(digest.data()), &size) != 1) {
      bug("SHA-256 failed");
    }
    return hex(std::span(digest).first(size));
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

std::string sha256_of(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.add(bytes);
  return hash.text();
}

Result<std::string> sha256_of_file(const fs::path& path) {
  Sha256 hash;
  TRY(read_in_pieces(path, [&](std::span<const std::byte> bytes) { hash.add(bytes); }));
  return hash.text();
}

}  // namespace gnnflow
