// .npy files (version 1.0, C order, little endian): mapped for reading, written in a stream with a digest.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/result.h"
#include "common/graph/ids.h"

namespace gnnflow {

// What the index says of an array, and what its header must say too.
struct ArrayInfo {
  std::string path;  // relative to the graph directory
  Dtype dtype = Dtype::u1;
  std::vector<int64_t> shape;
  int64_t bytes = 0;   // of the whole file
  std::string digest;  // XXH3-128 of the whole file

  int64_t rows() const { return shape.empty() ? 0 : shape[0]; }
  int64_t columns() const { return shape.size() < 2 ? 1 : shape[1]; }
};

// A mapped array. Cheap to move; borrowed spans live as long as it.
class Array {
 public:
  Array() = default;
  // Reads the header and checks that the file holds exactly what it promises.
  static Result<Array> open(const fs::path& path);
  // ... and that it is what the index promised.
  static Result<Array> open(const fs::path& folder, const ArrayInfo& info);

  bool present() const { return data_ != nullptr || !shape_.empty(); }
  Dtype dtype() const { return dtype_; }
  const std::vector<int64_t>& shape() const { return shape_; }
  int64_t rows() const { return shape_.empty() ? 0 : shape_[0]; }
  int64_t columns() const { return shape_.size() < 2 ? 1 : shape_[1]; }
  int64_t row_bytes() const { return columns() * bytes_of(dtype_); }
  const std::byte* data() const { return data_; }
  const fs::path& path() const { return path_; }

  // REQUIRES: sizeof(T) is that of the dtype.
  template <typename T>
  std::span<const T> as() const {
    return {reinterpret_cast<const T*>(data_), static_cast<size_t>(rows() * columns())};
  }
  // Element `i` of an integer array of any width.
  int64_t integer(int64_t i) const;

 private:
  Mapping mapping_;
  fs::path path_;
  const std::byte* data_ = nullptr;
  Dtype dtype_ = Dtype::u1;
  std::vector<int64_t> shape_;
};

// `bad_data` of an array: its file, and what is wrong with it.
Error bad_array(const Array& array, std::string_view what);

// All ids are in [0, limit), or the first that is not is named with its position. REQUIRES: i4 or i8
Status check_ids(const Array& ids, int64_t limit);

// Ids that are i4 or i8 on disk, read as int64. One predictable branch.
class IdView {
 public:
  IdView() = default;
  explicit IdView(const Array& array);  // REQUIRES: i4 or i8
  explicit IdView(std::span<const int32_t> ids)
      : narrow_(ids.data()), size_(static_cast<int64_t>(ids.size())) {}
  int64_t operator[](int64_t i) const { return narrow_ != nullptr ? int64_t{narrow_[i]} : wide_[i]; }
  int64_t size() const { return size_; }
  IdView slice(int64_t begin, int64_t count) const;  // REQUIRES: inside
  const int32_t* narrow() const { return narrow_; }  // null when the ids are i8
  const int64_t* wide() const { return wide_; }

 private:
  const int32_t* narrow_ = nullptr;
  const int64_t* wide_ = nullptr;
  int64_t size_ = 0;
};

// Writes one array in a stream. The number of rows is told first; finish() fails when another number came.
class ArrayWriter {
 public:
  static Result<ArrayWriter> create(const fs::path& folder, std::string relative_path, Dtype dtype,
                                    std::vector<int64_t> shape);
  Status write(std::span<const std::byte> bytes);
  template <typename T>
  Status write_all(std::span<const T> values) {
    return write(std::as_bytes(values));
  }
  // Ids narrowed to the array's dtype.
  Status write_ids(std::span<const int64_t> ids);
  Result<ArrayInfo> finish();  // flushed and synced; digest and size are known now

 private:
  ArrayWriter(FileWriter file, ArrayInfo info) : file_(std::move(file)), info_(std::move(info)) {}
  FileWriter file_;
  ArrayInfo info_;
  Digester digester_;
  int64_t header_bytes_ = 0;
  std::vector<std::byte> narrowed_;
};

// A whole list of ids at once.
Result<ArrayInfo> write_ids(const fs::path& folder, std::string relative_path, Dtype dtype,
                            std::span<const int64_t> ids);

// A whole small array at once.
template <typename T>
Result<ArrayInfo> write_array(const fs::path& folder, std::string relative_path, Dtype dtype,
                              std::vector<int64_t> shape, std::span<const T> values) {
  TRY(auto writer, ArrayWriter::create(folder, std::move(relative_path), dtype, std::move(shape)));
  TRY(writer.write_all(values));
  return writer.finish();
}

}  // namespace gnnflow
