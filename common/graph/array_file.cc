// Mapped reading and streamed writing of .npy files.
#include "common/graph/array_file.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "common/graph/npy_header.h"

namespace gnnflow {
namespace {

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

// The position of the first id outside of [0, limit), -1: there is none. Pieces are looked at without a
// branch in them.
template <typename T>
int64_t first_outside(std::span<const T> ids, int64_t limit) {
  using Unsigned = std::make_unsigned_t<T>;  // negative ids are beyond any limit
  const auto below = static_cast<Unsigned>(std::min<int64_t>(limit - 1, std::numeric_limits<T>::max()));
  constexpr size_t kPiece = 4096;
  for (size_t begin = 0; begin < ids.size(); begin += kPiece) {
    const auto piece = ids.subspan(begin, std::min(kPiece, ids.size() - begin));
    bool outside = limit <= 0;
    for (const T id : piece) outside |= static_cast<Unsigned>(id) > below;
    if (!outside) continue;
    const auto first = std::find_if(piece.begin(), piece.end(),
                                    [&](T id) { return limit <= 0 || static_cast<Unsigned>(id) > below; });
    return static_cast<int64_t>(begin) + (first - piece.begin());
  }
  return -1;
}

}  // namespace

Result<Array> Array::open(const fs::path& path) {
  Array array;
  TRY(array.mapping_, Mapping::open(path));
  const auto bytes = array.mapping_.bytes();
  TRY(auto header, read_npy_header(bytes).within(path.string()));
  const int64_t promised = header.header_bytes + header.data_bytes;
  if (header.data_bytes > std::numeric_limits<int64_t>::max() - header.header_bytes ||
      static_cast<int64_t>(bytes.size()) != promised) {
    return Error{
        Cause::bad_data,
        fmt::format("{}: holds {} bytes where its header promises {}", path.string(), bytes.size(),
                    static_cast<uint64_t>(header.data_bytes) + static_cast<uint64_t>(header.header_bytes))};
  }
  array.path_ = path;
  array.data_ = bytes.data() + header.header_bytes;
  array.dtype_ = header.dtype;
  array.shape_ = std::move(header.shape);
  return array;
}

Result<Array> Array::open(const fs::path& folder, const ArrayInfo& info) {
  if (!is_inside(info.path))
    return Error{Cause::bad_data, fmt::format("{}: not a path inside its folder", info.path)};
  const fs::path path = folder / info.path;
  auto opened = open(path);
  if (!opened && opened.error().cause == Cause::not_found) {
    return Error{Cause::bad_data, fmt::format("{}: named by the index, but missing", path.string())};
  }
  TRY(auto array, std::move(opened));
  const bool meaning_only = info.dtype == Dtype::bf16 && array.dtype_ == Dtype::u2;
  if ((array.dtype_ != info.dtype && !meaning_only) || array.shape_ != info.shape) {
    return Error{Cause::bad_data,
                 fmt::format("{}: is {} {}, the index says {} {}", path.string(), name_of(array.dtype_),
                             shape_text(array.shape_), name_of(info.dtype), shape_text(info.shape))};
  }
  if (static_cast<int64_t>(array.mapping_.bytes().size()) != info.bytes) {
    return Error{Cause::bad_data, fmt::format("{}: has {} bytes, the index says {}", path.string(),
                                              array.mapping_.bytes().size(), info.bytes)};
  }
  array.dtype_ = info.dtype;
  return array;
}

int64_t Array::integer(int64_t i) const {
  const auto at = [&]<typename T>(T) { return static_cast<int64_t>(reinterpret_cast<const T*>(data_)[i]); };
  switch (dtype_) {
    case Dtype::u1:
      return at(uint8_t{});
    case Dtype::i1:
      return at(int8_t{});
    case Dtype::u2:
      return at(uint16_t{});
    case Dtype::i2:
      return at(int16_t{});
    case Dtype::i4:
      return at(int32_t{});
    case Dtype::i8:
      return at(int64_t{});
    default:
      bug(fmt::format("{}: integers read from an array of {}", path_.string(), name_of(dtype_)));
  }
}

Error bad_array(const Array& array, std::string_view what) {
  return Error{Cause::bad_data, fmt::format("{}: {}", array.path().string(), what)};
}

Status check_ids(const Array& ids, int64_t limit) {
  const IdView all(ids);
  const auto size = static_cast<size_t>(all.size());
  const int64_t at = all.narrow() != nullptr ? first_outside(std::span(all.narrow(), size), limit)
                                             : first_outside(std::span(all.wide(), size), limit);
  if (at < 0) return {};
  return bad_array(ids, fmt::format("id {} at position {} is not below {}", all[at], at, limit));
}

IdView::IdView(const Array& array) : size_(array.rows() * array.columns()) {
  if (array.dtype() == Dtype::i4) {
    narrow_ = array.as<int32_t>().data();
  } else if (array.dtype() == Dtype::i8) {
    wide_ = array.as<int64_t>().data();
  } else {
    bug(fmt::format("{}: ids read from an array of {}", array.path().string(), name_of(array.dtype())));
  }
}

IdView IdView::slice(int64_t begin, int64_t count) const {
  IdView view;
  if (narrow_ != nullptr) view.narrow_ = narrow_ + begin;
  if (wide_ != nullptr) view.wide_ = wide_ + begin;
  view.size_ = count;
  return view;
}

Result<ArrayWriter> ArrayWriter::create(const fs::path& folder, std::string relative_path, Dtype dtype,
                                        std::vector<int64_t> shape) {
  const fs::path path = folder / relative_path;
  TRY(create_folders(path.parent_path()));
  TRY(auto file, FileWriter::create(path));
  ArrayInfo info{std::move(relative_path), dtype, std::move(shape), 0, {}};
  ArrayWriter writer(std::move(file), std::move(info));
  const std::string header = make_npy_header(dtype, writer.info_.shape);
  writer.header_bytes_ = static_cast<int64_t>(header.size());
  TRY(writer.write(std::as_bytes(std::span(header))));
  return writer;
}

Status ArrayWriter::write(std::span<const std::byte> bytes) {
  digester_.add(bytes);
  return file_.write(bytes);
}

Status ArrayWriter::write_ids(std::span<const int64_t> ids) {
  if (info_.dtype == Dtype::i8) return write(std::as_bytes(ids));
  if (info_.dtype != Dtype::i4) bug(fmt::format("{}: ids written as {}", info_.path, name_of(info_.dtype)));
  constexpr size_t kChunk = 1 << 16;
  narrowed_.resize(std::min(ids.size(), kChunk) * sizeof(int32_t));
  auto* narrow = reinterpret_cast<int32_t*>(narrowed_.data());
  for (size_t begin = 0; begin < ids.size(); begin += kChunk) {
    const size_t count = std::min(kChunk, ids.size() - begin);
    for (size_t i = 0; i < count; ++i) {
      narrow[i] = static_cast<int32_t>(ids[begin + i]);
      if (narrow[i] != ids[begin + i])
        bug(fmt::format("{}: id {} does not fit into i4", info_.path, ids[begin + i]));
    }
    TRY(write(std::span(narrowed_.data(), count * sizeof(int32_t))));
  }
  return {};
}

Result<ArrayInfo> ArrayWriter::finish() {
  int64_t promised = bytes_of(info_.dtype);
  for (const int64_t length : info_.shape) promised *= length;
  promised += header_bytes_;
  if (file_.written() != promised) {
    return Error{Cause::bug, fmt::format("{}: {} bytes written where its shape {} promises {}", info_.path,
                                         file_.written(), shape_text(info_.shape), promised)};
  }
  TRY(file_.finish());
  info_.bytes = promised;
  info_.digest = digester_.text();
  return std::move(info_);
}

Result<ArrayInfo> write_ids(const fs::path& folder, std::string relative_path, Dtype dtype,
                            std::span<const int64_t> ids) {
  TRY(auto writer,
      ArrayWriter::create(folder, std::move(relative_path), dtype, {static_cast<int64_t>(ids.size())}));
  TRY(writer.write_ids(ids));
  return writer.finish();
}

}  // namespace gnnflow
