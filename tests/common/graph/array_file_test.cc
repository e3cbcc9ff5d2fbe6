// .npy files: what NumPy writes is read, what is damaged is refused by name, what we write has its digest.
#include "common/graph/array_file.h"

#include <fstream>

#include <gtest/gtest.h>

#include "common/graph/npy_header.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

std::string npy(std::string dictionary, std::string_view data) {
  const size_t unpadded = 10 + dictionary.size() + 1;
  dictionary.append((64 - unpadded % 64) % 64, ' ');
  dictionary += '\n';
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(dictionary.size());
  file += '\0';
  return file + dictionary + std::string(data);
}

TEST(Dtypes, HaveNamesThatReadBack) {
  for (const Dtype dtype : {Dtype::u1, Dtype::i1, Dtype::u2, Dtype::i2, Dtype::i4, Dtype::i8, Dtype::f2,
                            Dtype::bf16, Dtype::f4, Dtype::f8}) {
    EXPECT_EQ(dtype_named(name_of(dtype)), dtype);
  }
  EXPECT_EQ(dtype_named("f16"), std::nullopt);
  EXPECT_EQ(numpy_descr(Dtype::bf16), "<u2");
  EXPECT_EQ(bytes_of(Dtype::bf16), 2);
}

TEST(Dtypes, OfIdsAreNarrowWhereTheyFit) {
  EXPECT_EQ(dtype_for_ids(int64_t{1} << 31), Dtype::i4);
  EXPECT_EQ(dtype_for_ids((int64_t{1} << 31) + 1), Dtype::i8);
}

TEST(ArrayFile, ReadsWhatNumPyWrites) {
  TempDir dir;
  // numpy.save of numpy.array([[1, 2, 3], [4, 5, 6]], dtype=numpy.uint8)
  const auto path = dir.file("a.npy", npy("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }",
                                          std::string_view("\1\2\3\4\5\6", 6)));
  auto array = Array::open(path);
  ASSERT_TRUE(array) << array.error().message;
  EXPECT_EQ(array->dtype(), Dtype::u1);
  EXPECT_EQ(array->shape(), (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(array->integer(4), 5);
}

TEST(ArrayFile, WritesTheBytesThatNumPyWrites) {
  TempDir dir;
  const std::vector<int32_t> values{7, -1};
  auto info = write_array(dir.path(), "x.npy", Dtype::i4, {2}, std::span<const int32_t>(values));
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(*read_file(dir / "x.npy"), npy("{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }",
                                           std::string_view("\7\0\0\0\xff\xff\xff\xff", 8)));
  EXPECT_EQ(info->bytes, 136);
  EXPECT_EQ(info->digest, *digest_of_file(dir / "x.npy"));
}

TEST(ArrayFile, NarrowsIdsAndReadsThemBack) {
  TempDir dir;
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < 200'000; ++i) ids.push_back(i * 3);
  for (const Dtype dtype : {Dtype::i4, Dtype::i8}) {
    const std::string name(name_of(dtype));
    auto writer = ArrayWriter::create(dir.path(), name, dtype, {200'000});
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->write_ids(ids));
    ASSERT_TRUE(writer->finish());
    auto array = Array::open(dir / name);
    ASSERT_TRUE(array) << array.error().message;
    const IdView view(*array);
    for (int64_t i = 0; i < 200'000; i += 777) ASSERT_EQ(view[i], i * 3);
    EXPECT_EQ(view.narrow() != nullptr, dtype == Dtype::i4);
  }
}

TEST(ArrayFile, RefusesToFinishWithAnotherNumberOfRows) {
  TempDir dir;
  auto writer = ArrayWriter::create(dir.path(), "x.npy", Dtype::i4, {3});
  ASSERT_TRUE(writer);
  ASSERT_TRUE(writer->write_ids(std::vector<int64_t>{1, 2}));
  auto info = writer->finish();
  ASSERT_FALSE(info);
  EXPECT_EQ(info.error().message, "x.npy: 136 bytes written where its shape [3] promises 140");
}

struct BadHeader {
  std::string dictionary, message;
};

class BadHeaders : public testing::TestWithParam<BadHeader> {};

TEST_P(BadHeaders, AreRefusedWithTheReason) {
  TempDir dir;
  const auto path = dir.file("bad.npy", npy(GetParam().dictionary, "12345678"));
  auto array = Array::open(path);
  ASSERT_FALSE(array);
  EXPECT_EQ(array.error().cause, Cause::bad_data);
  EXPECT_EQ(array.error().message, path.string() + ": " + GetParam().message);
}

std::string escapes(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += "\\x1b";
  return text;
}

INSTANTIATE_TEST_SUITE_P(
    All, BadHeaders,
    testing::Values(
        BadHeader{"{'descr': '>i4', 'fortran_order': False, 'shape': (2,), }",
                  "element type '>i4' is not one of u1 i1 u2 i2 i4 i8 f2 f4 f8, little endian"},
        BadHeader{"{'descr': '|O', 'fortran_order': False, 'shape': (2,), }",
                  "element type '|O' is not one of u1 i1 u2 i2 i4 i8 f2 f4 f8, little endian"},
        BadHeader{"{'descr': '<i\xb8\n', 'fortran_order': False, 'shape': (2,), }",
                  "element type '<i\\xb8\\x0a' is not one of u1 i1 u2 i2 i4 i8 f2 f4 f8, little endian"},
        BadHeader{"{'" + std::string(20, '\x1b') + std::string(100, 'x') + "': 1, }",
                  "unexpected key '" + escapes(20) + std::string(20, 'x') + "...' in the header"},
        BadHeader{"{'descr': '<i4', 'fortran_order': True, 'shape': (2,), }",
                  "stored in Fortran order: write it in C order"},
        BadHeader{"{'descr': '<i4', 'fortran_order': False, 'shape': (), }", "has 0 dimensions, not 1 or 2"},
        BadHeader{"{'descr': '<i4', 'fortran_order': False, 'shape': (1, 1, 2), }",
                  "has 3 dimensions, not 1 or 2"},
        BadHeader{"{'descr': '<i4', 'fortran_order': False, 'shape': (-2,), }",
                  "'shape' is not a tuple of numbers"},
        BadHeader{"{'descr': '<i4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }",
                  "its shape is larger than any file"},
        BadHeader{"{'descr': '<i4', 'fortran_order': False, 'shape': (3,), }",
                  "holds 136 bytes where its header promises 140"},
        BadHeader{"{'descr': '<i4', 'fortran_order': False, }",
                  "the header lacks descr, fortran_order or shape"},
        BadHeader{"{'descr': '<i4', 'descr': '<i4', 'fortran_order': False, 'shape': (2,), }",
                  "unexpected key 'descr' in the header"},
        BadHeader{"{'descr': '<i4', 'fortran_order': False, 'shape': (2,), } x",
                  "the header goes on after its dictionary"}));

// Without fsync: thousands of them are written.
fs::path damaged_file(const TempDir& dir, const std::string& content) {
  const fs::path path = dir / "damaged.npy";
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
  return path;
}

TEST(ArrayFile, CutOrFlippedIsRefusedOrReadButNeverCrashes) {
  TempDir dir;
  const std::string good =
      npy("{'descr': '<i8', 'fortran_order': False, 'shape': (2, 2), }", "aaaaaaaabbbbbbbbccccccccdddddddd");
  for (size_t length = 0; length < good.size(); ++length) {
    auto array = Array::open(damaged_file(dir, good.substr(0, length)));
    ASSERT_FALSE(array) << "cut to " << length;
    EXPECT_EQ(array.error().cause, Cause::bad_data);
    EXPECT_NE(array.error().message.find("damaged.npy"), std::string::npos) << array.error().message;
  }
  int read = 0;
  for (size_t at = 0; at < 128; ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = good;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
      auto array = Array::open(damaged_file(dir, flipped));
      if (array) {  // still a dictionary of the same size, e.g. u8 read as i8
        ++read;
        EXPECT_EQ(array->rows() * array->row_bytes(), 32);
      } else {
        EXPECT_EQ(array.error().cause, Cause::bad_data);
      }
    }
  }
  EXPECT_LT(read, 200);
}

TEST(ArrayFile, IsHeldAgainstItsIndex) {
  TempDir dir;
  const std::vector<int32_t> values{1, 2};
  const ArrayInfo info = *write_array(dir.path(), "x.npy", Dtype::i4, {2}, std::span<const int32_t>(values));
  ASSERT_TRUE(Array::open(dir.path(), info));

  ArrayInfo other = info;
  other.dtype = Dtype::f4;
  EXPECT_EQ(Array::open(dir.path(), other).error().message,
            (dir / "x.npy").string() + ": is i4 [2], the index says f4 [2]");
  other = info;
  other.path = "y.npy";
  EXPECT_EQ(Array::open(dir.path(), other).error().message,
            (dir / "y.npy").string() + ": named by the index, but missing");
  EXPECT_EQ(Array::open(dir.path(), other).error().cause, Cause::bad_data);
  other.path = "../x.npy";
  EXPECT_FALSE(Array::open(dir.path(), other));
}

TEST(ArrayFile, TakesTheMeaningBf16FromTheIndex) {
  TempDir dir;
  const std::vector<uint16_t> values{0x3f80};
  ArrayInfo info = *write_array(dir.path(), "x.npy", Dtype::bf16, {1}, std::span<const uint16_t>(values));
  auto array = Array::open(dir.path(), info);
  ASSERT_TRUE(array) << array.error().message;
  EXPECT_EQ(array->dtype(), Dtype::bf16);
}

template <typename T>
void expect_the_id_that_is_out_of_range(Dtype dtype) {
  TempDir dir;
  std::vector<T> ids(10'000, 41);
  const auto checked = [&] {
    fs::remove(dir / "x.npy");
    const auto info = write_array(dir.path(), "x.npy", dtype, {10'000}, std::span<const T>(ids));
    return check_ids(*Array::open(dir.path(), *info), 42);
  };
  EXPECT_TRUE(checked());
  for (const T wrong : {T{42}, T{-1}, std::numeric_limits<T>::min(), std::numeric_limits<T>::max()}) {
    for (const size_t at : {size_t{9'999}, size_t{4'096}, size_t{4'095}, size_t{0}}) {
      ids[at] = wrong;
      const Status status = checked();
      ASSERT_FALSE(status);
      EXPECT_EQ(status.error().cause, Cause::bad_data);
      EXPECT_EQ(status.error().message, (dir / "x.npy").string() + ": id " + std::to_string(wrong) +
                                            " at position " + std::to_string(at) + " is not below 42");
    }
    ids.assign(10'000, 41);
  }
}

TEST(Ids, ThatAreOutOfRangeAreNamedWithTheirPosition) {
  expect_the_id_that_is_out_of_range<int32_t>(Dtype::i4);
  expect_the_id_that_is_out_of_range<int64_t>(Dtype::i8);
}

TEST(Ids, MayBeAsManyAsTheirTypeHolds) {
  TempDir dir;
  const std::vector<int32_t> ids{0, std::numeric_limits<int32_t>::max()};
  const auto info = write_array(dir.path(), "x.npy", Dtype::i4, {2}, std::span<const int32_t>(ids));
  const Array array = *Array::open(dir.path(), *info);
  EXPECT_TRUE(check_ids(array, std::numeric_limits<int64_t>::max()));
  EXPECT_TRUE(check_ids(array, int64_t{1} << 31));
  EXPECT_FALSE(check_ids(array, (int64_t{1} << 31) - 1));
  EXPECT_FALSE(check_ids(array, 0));
}

}  // namespace
}  // namespace gnnflow
