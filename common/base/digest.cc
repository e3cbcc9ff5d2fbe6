// XXH3-128 by xxhash.
#include "common/base/digest.h"

#include <array>
#include <cstdint>

#include <xxhash.h>

#include "common/base/file_effects.h"
#include "common/base/text.h"

namespace gnnflow {
namespace {

std::string text_of(XXH128_hash_t hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  return hex(std::as_bytes(std::span(canonical.digest)));
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

bool is_digest(std::string_view text) {
  constexpr size_t kLength = 32;
  return text.size() == kLength && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string digest_of(std::span<const std::byte> bytes) {
  return text_of(XXH3_128bits(bytes.data(), bytes.size()));
}

std::string digest_of(std::string_view text) { return digest_of(std::as_bytes(std::span(text))); }

Result<std::string> digest_of_file(const fs::path& path, const StopSignal* stop) {
  Digester digester;
  TRY(read_in_pieces(
      path, [&](std::span<const std::byte> bytes) { digester.add(bytes); }, stop));
  return digester.text();
}

}  // namespace gnnflow
