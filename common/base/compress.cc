// Zstandard, whole buffers.
#include "common/base/compress.h"

#include <fmt/format.h>
#include <zstd.h>

namespace gnnflow {

std::string compress(std::string_view bytes, int level) {
  std::string packed(ZSTD_compressBound(bytes.size()), '\0');
  size_t size = ZSTD_compress(packed.data(), packed.size(), bytes.data(), bytes.size(), level);
  // The buffer is large enough for anything, so only a wrong call or no memory is left.
  if (ZSTD_isError(size)) bug(fmt::format("zstd: {}", ZSTD_getErrorName(size)));
  packed.resize(size);
  return packed;
}

Result<std::string> decompress(std::string_view bytes, size_t limit) {
  unsigned long long size = ZSTD_getFrameContentSize(bytes.data(), bytes.size());
  if (size == ZSTD_CONTENTSIZE_ERROR) return Error{Cause::bad_data, "not a zstd frame"};
  if (size == ZSTD_CONTENTSIZE_UNKNOWN) return Error{Cause::bad_data, "zstd frame does not tell its size"};
  if (size > limit) {
    return Error{Cause::bad_data, fmt::format("zstd frame of {} bytes is over the limit of {}", size, limit)};
  }
  std::string plain(size, '\0');
  size_t made = ZSTD_decompress(plain.data(), plain.size(), bytes.data(), bytes.size());
  if (ZSTD_isError(made)) {
    return Error{Cause::bad_data, fmt::format("damaged zstd frame: {}", ZSTD_getErrorName(made))};
  }
  if (made != size) return Error{Cause::bad_data, "zstd frame is shorter than it says"};
  return plain;
}

}  // namespace gnnflow
