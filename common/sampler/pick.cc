// Keys and positions of the pick function.
#include "common/sampler/pick.h"

#include <algorithm>
#include <array>

#include "common/base/result.h"

namespace gnnflow {
namespace {

constexpr uint64_t kFnvOffset = 0xCBF29CE484222325ull;
constexpr uint64_t kFnvPrime = 0x100000001B3ull;

// Up to here a scan over the positions drawn so far beats a table.
constexpr int kScanLimit = 64;

// Positions that were drawn, open addressing; `k` up to kMaxFanout fills it at most to a quarter.
class TakenPositions {
 public:
  TakenPositions() { slots_.fill(-1); }
  bool insert(int64_t position) {  // false: was there already
    size_t i = mum(static_cast<uint64_t>(position) ^ kPickC0, kPickC3) % kSlots;
    while (slots_[i] >= 0) {
      if (slots_[i] == position) return false;
      i = (i + 1) % kSlots;
    }
    slots_[i] = position;
    return true;
  }

 private:
  static constexpr size_t kSlots = 4096;
  std::array<int64_t, kSlots> slots_;
};

}  // namespace

KeyChain& KeyChain::with(std::string_view text) {
  uint64_t digest = kFnvOffset;
  for (const char c : text) digest = (digest ^ static_cast<unsigned char>(c)) * kFnvPrime;
  return with(mum(digest ^ kPickC3, text.size() ^ kPickC4));
}

uint64_t layer_key(const BatchKey& batch, int layer, std::string_view relation) {
  return KeyChain(PickUse::neighbours)
      .with(batch.seed)
      .with(static_cast<uint64_t>(batch.epoch))
      .with(static_cast<uint64_t>(batch.step))
      .with(static_cast<uint64_t>(layer))
      .with(relation)
      .key();
}

int pick_positions(uint64_t node_key, int64_t degree, int k, int64_t* positions) {
  if (k < 0 || k > kMaxFanout || degree < 0) bug("pick_positions: k or degree is out of range");
  if (degree <= k) {
    for (int64_t i = 0; i < degree; ++i) positions[i] = i;
    return static_cast<int>(degree);
  }
  const auto drawn = [&](int i) {
    return static_cast<int64_t>(
        below(draw(node_key, static_cast<uint64_t>(i)), static_cast<uint64_t>(degree - k + i + 1)));
  };
  if (k <= kScanLimit) {
    for (int i = 0; i < k; ++i) {
      const int64_t position = drawn(i);
      const bool taken = std::find(positions, positions + i, position) != positions + i;
      positions[i] = taken ? degree - k + i : position;
    }
    return k;
  }
  TakenPositions taken;
  for (int i = 0; i < k; ++i) {
    int64_t position = drawn(i);
    if (!taken.insert(position)) {
      position = degree - k + i;
      taken.insert(position);
    }
    positions[i] = position;
  }
  return k;
}

}  // namespace gnnflow
