// Parses the Python dictionary at the start of a .npy file: exactly three keys, in any order.
//
//  0          6   7   8        10
//  | \x93NUMPY | 1 | 0 | length | {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } ... \n | data |
#include "common/graph/npy_header.h"

#include <cstring>
#include <optional>

#include <fmt/format.h>

#include "common/base/text.h"

namespace gnnflow {
namespace {

constexpr std::string_view kMagic("\x93NUMPY\x01\x00", 8);
constexpr int64_t kPrefix = 10;
constexpr size_t kAlignment = 64;

Error damaged(std::string message) { return Error{Cause::bad_data, std::move(message)}; }

// Words of a damaged file, for a message: ASCII, and not long.
std::string printable(std::string_view word) {
  constexpr size_t kMost = 40;
  std::string text;
  for (const char c : word.substr(0, kMost)) {
    const bool plain = c >= 0x20 && c < 0x7f;
    text += plain ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  return word.size() > kMost ? text + "..." : text;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool take(std::string_view word) {
    skip_blanks();
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }
  std::optional<std::string> quoted() {
    skip_blanks();
    if (at_ >= text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) return std::nullopt;
    const size_t end = text_.find(text_[at_], at_ + 1);
    if (end == std::string_view::npos) return std::nullopt;
    std::string word(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return word;
  }
  std::optional<int64_t> integer() {
    skip_blanks();
    size_t end = at_;
    while (end < text_.size() && text_[end] >= '0' && text_[end] <= '9') ++end;
    const auto value = parse_integer(text_.substr(at_, end - at_));
    at_ = end;
    return value;
  }
  bool at_end() {
    skip_blanks();
    return at_ == text_.size();
  }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

std::optional<std::vector<int64_t>> parse_shape(Parser& parser) {
  if (!parser.take("(")) return std::nullopt;
  std::vector<int64_t> shape;
  while (!parser.take(")")) {
    const auto length = parser.integer();
    if (!length || shape.size() >= 8) return std::nullopt;
    shape.push_back(*length);
    if (parser.take(",")) continue;
    if (!parser.take(")")) return std::nullopt;
    break;
  }
  return shape;
}

Result<Dtype> dtype_of_descr(std::string_view descr) {
  for (const Dtype dtype :
       {Dtype::u1, Dtype::i1, Dtype::u2, Dtype::i2, Dtype::i4, Dtype::i8, Dtype::f2, Dtype::f4, Dtype::f8}) {
    if (numpy_descr(dtype) == descr) return dtype;
  }
  return damaged(fmt::format("element type '{}' is not one of u1 i1 u2 i2 i4 i8 f2 f4 f8, little endian",
                             printable(descr)));
}

Status set_data_bytes(NpyHeader& header) {
  if (header.shape.empty() || header.shape.size() > 2) {
    return damaged(fmt::format("has {} dimensions, not 1 or 2", header.shape.size()));
  }
  int64_t bytes = bytes_of(header.dtype);
  for (const int64_t length : header.shape) {
    if (__builtin_mul_overflow(bytes, length, &bytes)) return damaged("its shape is larger than any file");
  }
  header.data_bytes = bytes;
  return {};
}

Result<NpyHeader> parse_dictionary(std::string_view text) {
  Parser parser(text);
  NpyHeader header;
  bool descr = false, order = false, shape = false;
  if (!parser.take("{")) return damaged("the header is not a dictionary");
  while (!parser.take("}")) {
    const auto key = parser.quoted();
    if (!key || !parser.take(":")) return damaged("the header is not a dictionary");
    if (*key == "descr" && !descr) {
      const auto word = parser.quoted();
      if (!word) return damaged("'descr' is not a text");
      TRY(header.dtype, dtype_of_descr(*word));
      descr = true;
    } else if (*key == "fortran_order" && !order) {
      if (parser.take("True")) return damaged("stored in Fortran order: write it in C order");
      if (!parser.take("False")) return damaged("'fortran_order' is neither True nor False");
      order = true;
    } else if (*key == "shape" && !shape) {
      auto lengths = parse_shape(parser);
      if (!lengths) return damaged("'shape' is not a tuple of numbers");
      header.shape = std::move(*lengths);
      shape = true;
    } else {
      return damaged(fmt::format("unexpected key '{}' in the header", printable(*key)));
    }
    if (!parser.take(",")) {
      if (parser.take("}")) break;
      return damaged("the header is not a dictionary");
    }
  }
  if (!descr || !order || !shape) return damaged("the header lacks descr, fortran_order or shape");
  if (!parser.at_end()) return damaged("the header goes on after its dictionary");
  TRY(set_data_bytes(header));
  return header;
}

}  // namespace

Result<NpyHeader> read_npy_header(std::span<const std::byte> file) {
  const std::string_view bytes(reinterpret_cast<const char*>(file.data()), file.size());
  if (bytes.substr(0, 6) != kMagic.substr(0, 6)) return damaged("not a .npy file");
  if (bytes.size() < kPrefix) return damaged("cut short inside its header");
  if (bytes.substr(0, 8) != kMagic) return damaged("not version 1.0 of the .npy format");
  const int64_t length = static_cast<uint8_t>(bytes[8]) | static_cast<uint8_t>(bytes[9]) << 8;
  if (static_cast<int64_t>(bytes.size()) < kPrefix + length) return damaged("cut short inside its header");
  TRY(auto header, parse_dictionary(bytes.substr(kPrefix, static_cast<size_t>(length))));
  header.header_bytes = kPrefix + length;
  if (header.header_bytes % bytes_of(header.dtype) != 0) {
    return damaged(fmt::format("its data begins at byte {}, which is not aligned", header.header_bytes));
  }
  return header;
}

std::string make_npy_header(Dtype dtype, std::span<const int64_t> shape) {
  std::string lengths = fmt::format("{}", fmt::join(shape, ", "));
  if (shape.size() == 1) lengths += ',';
  std::string text =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", numpy_descr(dtype), lengths);
  const size_t unpadded = kPrefix + text.size() + 1;
  text.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  text += '\n';
  std::string header(kMagic);
  header += static_cast<char>(text.size() & 0xff);
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

}  // namespace gnnflow
