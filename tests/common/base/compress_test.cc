// Zstandard there and back, and what is not zstandard.
#include "common/base/compress.h"

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

std::string sample() {
  std::string text;
  for (int i = 0; i < 300; ++i) text += "line " + std::to_string(i % 17) + "\n";
  return text;
}

TEST(Compress, GivesBackWhatItTook) {
  for (const std::string& text : {std::string(), std::string("x"), sample(), std::string(1 << 20, 'a')}) {
    std::string packed = compress(text);
    EXPECT_EQ(*decompress(packed, text.size()), text);
  }
  EXPECT_LT(compress(sample()).size(), sample().size() / 5);
}

TEST(Compress, RefusesMoreThanTheLimit) {
  Result<std::string> result = decompress(compress(std::string(1000, 'a')), 999);
  EXPECT_EQ(result.error().message, "zstd frame of 1000 bytes is over the limit of 999");
  EXPECT_EQ(result.error().cause, Cause::bad_data);
}

TEST(Compress, AnyCutFrameIsRefused) {
  std::string packed = compress(sample());
  for (size_t length = 0; length < packed.size(); ++length) {
    Result<std::string> result = decompress(packed.substr(0, length), 1 << 20);
    ASSERT_FALSE(result) << length;
    EXPECT_EQ(result.error().cause, Cause::bad_data);
  }
}

TEST(Compress, AnyFlippedBitGivesAnErrorOrAtMostTheLimit) {
  std::string packed = compress(sample());
  constexpr size_t kLimit = 1 << 16;
  for (size_t at = 0; at < packed.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = packed;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
      Result<std::string> result = decompress(flipped, kLimit);
      if (result) {
        EXPECT_LE(result->size(), kLimit);
      }
    }
  }
  EXPECT_EQ(decompress("no frame at all", kLimit).error().message, "not a zstd frame");
}

}  // namespace
}  // namespace gnnflow
