// The pick function: a sample is a pure function of what is sampled (docs/formats.md, "Picks"). Part of the
// format: constants and orders never change without a new format version.
#pragma once

#include <cstdint>
#include <string_view>

namespace gnnflow {

inline uint64_t mum(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}
// draw in [0, n)
inline uint64_t below(uint64_t draw, uint64_t n) {
  return static_cast<uint64_t>((static_cast<unsigned __int128>(draw) * n) >> 64);
}

constexpr uint64_t kPickC0 = 0xA0761D6478BD642Full;
constexpr uint64_t kPickC1 = 0x8EBC6AF09C88C6E3ull;
constexpr uint64_t kPickC2 = 0x589965CC75374CC3ull;
constexpr uint64_t kPickC3 = 0xE7037ED1A0B428DBull;
constexpr uint64_t kPickC4 = 0x1D8E4E27C47D124Full;

// What a draw is for: keys of different uses never meet.
enum class PickUse : uint64_t {
  neighbours = 1,
  seed_order = 2,
  dropout = 3,
  negatives = 4,
  generator = 5,
  initial_weights = 6
};

// Chain of mum over the words given.
class KeyChain {
 public:
  explicit KeyChain(PickUse use) : key_(mum(static_cast<uint64_t>(use) ^ kPickC0, kPickC1)) {}
  KeyChain& with(uint64_t word) {
    key_ = mum(key_ ^ kPickC0, word ^ kPickC2);
    return *this;
  }
  KeyChain& with(std::string_view text);  // its digest: FNV-1a, 64 bit, finished by mum
  uint64_t key() const { return key_; }

 private:
  uint64_t key_;
};

// Once per batch, layer and relation. `step` is the global step; -1 scores validation.
struct BatchKey {
  uint64_t seed = 0;
  int64_t epoch = 0;
  int64_t step = 0;
};
uint64_t layer_key(const BatchKey& batch, int layer, std::string_view relation);

inline uint64_t node_key(uint64_t layer_key, uint64_t original) {
  return mum(layer_key ^ kPickC1, original ^ kPickC2);
}
// Both factors depend on i: with one of them fixed, the draws of a node would lie on a line and its picks
// depend on each other.
inline uint64_t draw(uint64_t node_key, uint64_t i) {
  const uint64_t word = node_key + (i + 1) * kPickC0;
  return mum(word, word ^ kPickC3);
}

// Floyd's method: k of d positions without replacement, in the order drawn. All when k >= d.
// Writes min(k, d) positions and returns how many. `k` up to kMaxFanout.
constexpr int kMaxFanout = 1024;
int pick_positions(uint64_t node_key, int64_t degree, int k, int64_t* positions);

// u in [0, 1) of 53 bits, for dropout, generators and initial weights.
inline double unit_of(uint64_t draw) { return static_cast<double>(draw >> 11) * 0x1p-53; }

}  // namespace gnnflow
