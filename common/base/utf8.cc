// The table of well-formed byte sequences of the Unicode standard.
#include "common/base/utf8.h"

namespace gnnflow {

size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto follows = [&](size_t i, unsigned from = 0x80, unsigned to = 0xBF) {
    return byte(i) >= from && byte(i) <= to;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return follows(1) ? 2 : 0;
  // Neither overlong, nor half of a surrogate pair, nor beyond U+10FFFF.
  if (first >= 0xE0 && first <= 0xEF)
    return follows(1, first == 0xE0 ? 0xA0 : 0x80, first == 0xED ? 0x9F : 0xBF) && follows(2) ? 3 : 0;
  if (first >= 0xF0 && first <= 0xF4)
    return follows(1, first == 0xF0 ? 0x90 : 0x80, first == 0xF4 ? 0x8F : 0xBF) && follows(2) && follows(3)
               ? 4
               : 0;
  return 0;
}

bool is_unprintable(std::string_view letter) {
  return letter < " " || letter == "\x7F" || utf8_length(letter) == 0 ||
         (letter >= "\xC2\x80" && letter <= "\xC2\x9F");
}

}  // namespace gnnflow
