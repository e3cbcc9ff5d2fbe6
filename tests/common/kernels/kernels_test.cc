// Every kernel set against the plain one, bit for bit, and conversions of half floats.
#include "common/kernels/kernels.h"

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

struct TableData {
  std::vector<std::byte> bytes;
  RowTable table;
};

TableData random_table(int64_t rows, int64_t columns, RowType type, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  TableData made;
  made.bytes.resize(
      static_cast<size_t>(rows * columns * bytes_of(type)));  // exact: reading past the end is seen
  for (int64_t i = 0; i < rows * columns; ++i) {
    const float value = normal(random);
    std::byte* at = made.bytes.data() + i * bytes_of(type);
    const uint16_t half = type == RowType::f16 ? half_of_float(value)
                                               : static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
    if (type == RowType::f32) std::memcpy(at, &value, 4);
    if (type == RowType::f16 || type == RowType::bf16) std::memcpy(at, &half, 2);
    if (type == RowType::u8) *at = static_cast<std::byte>(random() & 0xFF);
  }
  made.table = {made.bytes.data(), rows, columns, type};
  return made;
}

struct Edges {
  std::vector<int32_t> offsets{0}, sources;
};

Edges random_edges(int destinations, int64_t rows, uint32_t seed) {
  std::mt19937 random(seed);
  Edges edges;
  for (int i = 0; i < destinations; ++i) {
    const int count = i % 7 == 0 ? 0 : static_cast<int>(random() % 23);
    for (int e = 0; e < count; ++e)
      edges.sources.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(rows)));
    edges.offsets.push_back(static_cast<int32_t>(edges.sources.size()));
  }
  return edges;
}

constexpr float kUntouched = 12345;
constexpr RowType kTypes[] = {RowType::f32, RowType::f16, RowType::bf16, RowType::u8};
constexpr int64_t kColumns[] = {1, 3, 7, 8, 9, 15, 16, 17, 31, 64, 100, 112, 113, 128, 129, 255, 500};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

class KernelSet : public testing::TestWithParam<const Kernels*> {
 protected:
  const Kernels& set_ = *GetParam();
};

TEST_P(KernelSet, SumsAndMeansLikeThePlainSetBitForBit) {
  for (const RowType type : kTypes) {
    for (const int64_t columns : kColumns) {
      const TableData data = random_table(50, columns, type, 1);
      const Edges edges = random_edges(40, 50, 2);
      const int64_t stride = columns + 5;
      for (const bool mean : {false, true}) {
        std::vector<float> expected(static_cast<size_t>(40 * stride), kUntouched), got = expected;
        ASSERT_EQ(kPlainKernels.sum(data.table, edges.offsets, edges.sources, mean, expected.data(), stride),
                  -1);
        ASSERT_EQ(set_.sum(data.table, edges.offsets, edges.sources, mean, got.data(), stride), -1);
        ASSERT_TRUE(same_bits(expected, got)) << columns << " columns, type " << static_cast<int>(type);
      }
    }
  }
}

TEST_P(KernelSet, GathersLikeThePlainSetBitForBit) {
  for (const RowType type : kTypes) {
    for (const int64_t columns : kColumns) {
      const TableData data = random_table(60, columns, type, 3);
      const std::vector<int32_t> ids{59, 0, 17, 17, 3, 58, 1, 2, 3, 4, 5, 6, 7, 8, 0, 59};
      const int64_t stride = columns + 3;
      std::vector<float> expected(ids.size() * static_cast<size_t>(stride), kUntouched), got = expected;
      ASSERT_EQ(kPlainKernels.gather(data.table, ids, expected.data(), stride), -1);
      ASSERT_EQ(set_.gather(data.table, ids, got.data(), stride), -1);
      ASSERT_TRUE(same_bits(expected, got)) << columns << " columns, type " << static_cast<int>(type);
    }
  }
}

TEST_P(KernelSet, PlacesRowsWhereTheirPositionsSay) {
  for (const RowType type : kTypes) {
    for (const int64_t columns : kColumns) {
      const TableData data = random_table(4, columns, type, 4);
      const std::vector<int32_t> positions{2, 0, 3, 1}, inverse{1, 3, 0, 2};
      std::vector<float> expected(static_cast<size_t>(4 * columns)), got = expected;
      ASSERT_EQ(kPlainKernels.gather(data.table, inverse, expected.data(), columns), -1);
      ASSERT_EQ(set_.place(data.table, {}, positions, got.data(), columns), -1);
      ASSERT_TRUE(same_bits(expected, got)) << columns << " columns, type " << static_cast<int>(type);

      std::fill(got.begin(), got.end(), kUntouched);
      ASSERT_EQ(set_.place(data.table, inverse, std::vector<int32_t>{0, 1, 2, 3}, got.data(), columns), -1);
      ASSERT_TRUE(same_bits(expected, got)) << columns << " columns, type " << static_cast<int>(type);
    }
  }
}

TEST_P(KernelSet, SumsTheRowsOfItsEdges) {
  std::vector<float> values{1, 2, 10, 20, 100, 200};
  const RowTable table{reinterpret_cast<const std::byte*>(values.data()), 3, 2, RowType::f32};
  const std::vector<int32_t> offsets{0, 2, 2, 5}, sources{0, 2, 1, 1, 0};
  std::vector<float> out(6, kUntouched);
  ASSERT_EQ(set_.sum(table, offsets, sources, false, out.data(), 2), -1);
  EXPECT_EQ(out, (std::vector<float>{101, 202, 0, 0, 21, 42}));
  ASSERT_EQ(set_.sum(table, offsets, sources, true, out.data(), 2), -1);
  EXPECT_EQ(out, (std::vector<float>{50.5, 101, 0, 0, 7, 14}));
}

TEST_P(KernelSet, TellsThePositionOfTheFirstIdThatIsOutOfRange) {
  for (const int64_t columns : {5, 40}) {
    const TableData data = random_table(10, columns, RowType::f32, 5);
    std::vector<float> out(static_cast<size_t>(10 * columns));
    for (const int32_t bad : {10, -1, 2147483647}) {
      const std::vector<int32_t> ids{0, 9, bad, bad};
      EXPECT_EQ(set_.gather(data.table, ids, out.data(), columns), 2);
      EXPECT_EQ(set_.place(data.table, ids, std::vector<int32_t>{3, 2, 1, 0}, out.data(), columns), 2);
      EXPECT_EQ(set_.sum(data.table, std::vector<int32_t>{0, 1, 4}, ids, true, out.data(), columns), 2);
    }
  }
}

TEST_P(KernelSet, DoesNothingForNothing) {
  const TableData data = random_table(1, 20, RowType::f32, 6);
  EXPECT_EQ(set_.gather(data.table, {}, nullptr, 20), -1);
  EXPECT_EQ(set_.sum(data.table, std::vector<int32_t>{0}, {}, true, nullptr, 20), -1);
}

INSTANTIATE_TEST_SUITE_P(All, KernelSet, testing::ValuesIn(all_kernels().begin(), all_kernels().end()),
                         [](const auto& set) { return std::string(set.param->name); });

TEST(Half, SurvivesTheWayToFloatAndBack) {
  for (uint32_t half = 0; half < 0x10000; ++half) {
    const float value = float_of_half(static_cast<uint16_t>(half));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(float_of_half(half_of_float(value))));
    } else {
      EXPECT_EQ(half_of_float(value), half);
    }
  }
}

TEST(Half, RoundsToTheNearestAndTiesToEven) {
  EXPECT_EQ(half_of_float(1.0f + 0x1p-11f), 0x3C00);      // a tie: down to even
  EXPECT_EQ(half_of_float(1.0f + 3 * 0x1p-11f), 0x3C02);  // a tie: up to even
  EXPECT_EQ(half_of_float(1.0f + 0x1p-11f + 0x1p-20f), 0x3C01);
  EXPECT_EQ(half_of_float(65519.0f), 0x7BFF);
  EXPECT_EQ(half_of_float(65520.0f), 0x7C00);
  EXPECT_EQ(half_of_float(0x1p-25f), 0x0000);
  EXPECT_EQ(half_of_float(0x1.8p-24f), 0x0002);
  EXPECT_EQ(half_of_float(-0x1p-24f), 0x8001);
}

TEST(KernelChoice, TakesTheBestOfThisCpuUnlessTold) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto ends_with_name = [](std::string_view name) {
    EXPECT_EXIT(
        {
          const std::string_view chosen = kernels().name;
          std::fprintf(stderr, "chosen %.*s.", static_cast<int>(chosen.size()), chosen.data());
          std::exit(0);
        },
        testing::ExitedWithCode(0), "chosen " + std::string(name) + "\\.");
  };
  unsetenv("GNNFLOW_KERNELS");
  ends_with_name(all_kernels().back()->name);
  for (const Kernels* set : all_kernels()) {
    setenv("GNNFLOW_KERNELS", std::string(set->name).c_str(), 1);
    ends_with_name(set->name);
  }
  setenv("GNNFLOW_KERNELS", "sse9", 1);
  EXPECT_EXIT(kernels(), testing::ExitedWithCode(2),
              "GNNFLOW_KERNELS=sse9: this CPU has no such kernels; it has plain");
  unsetenv("GNNFLOW_KERNELS");
}

}  // namespace
}  // namespace gnnflow
