// XXH3-128 by xxhash, SHA-256 by libcrypto.
#include "common/base/digest.h"

#include <array>
#include <cstdint>

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/base/text.h"

namespace gnnflow {
namespace {

std::string text_of(XXH128_hash_t hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  return hex(std::as_bytes(std::span(canonical.digest)));
}

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

template <typename Sink>
Status feed_file(const fs::path& path, Sink& sink) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return system_error("opening " + path.string(), errno);
  std::vector<std::byte> buffer(1 << 20);
  while (true) {
    ssize_t size = ::read(file.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return system_error("reading " + path.string(), errno);
    if (size == 0) return {};
    sink.add(std::span(buffer).first(static_cast<size_t>(size)));
  }
}

}  // namespace

struct Digester::State {
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> hash{XXH3_createState(), XXH3_freeState};
};

Digester::Digester() : state_(std::make_unique<State>()) {
  if (!state_->hash || XXH3_128bits_reset(state_->hash.get()) != XXH_OK) bug("no XXH3");
}
Digester::Digester(Digester&&) noexcept = default;
Digester& Digester::operator=(Digester&&) noexcept = default;
Digester::~Digester() = default;

void Digester::add(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  if (XXH3_128bits_update(state_->hash.get(), bytes.data(), bytes.size()) != XXH_OK) bug("XXH3 failed");
}

void Digester::add_field(std::string_view text) {
  std::array<std::byte, 8> length;
  for (size_t i = 0; i < length.size(); ++i)
    length[i] = static_cast<std::byte>(uint64_t{text.size()} >> (8 * i));
  add(length);
  add(text);
}

std::string Digester::text() const { return text_of(XXH3_128bits_digest(state_->hash.get())); }

std::string digest_of(std::span<const std::byte> bytes) {
  return text_of(XXH3_128bits(bytes.data(), bytes.size()));
}

std::string digest_of(std::string_view text) { return digest_of(std::as_bytes(std::span(text))); }

Result<std::string> digest_of_file(const fs::path& path) {
  Digester digester;
  TRY(feed_file(path, digester));
  return digester.text();
}

std::string sha256_of(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.add(bytes);
  return hash.text();
}

Result<std::string> sha256_of_file(const fs::path& path) {
  Sha256 hash;
  TRY(feed_file(path, hash));
  return hash.text();
}

}  // namespace gnnflow
