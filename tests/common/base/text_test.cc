// Numbers, durations and sizes from text and back, and suggestions.
#include "common/base/text.h"

#include <gtest/gtest.h>

namespace gnnflow {
namespace {

using std::chrono::milliseconds;

TEST(Text, SplitGivesOnePartMoreThanSeparators) {
  EXPECT_EQ(split("a,,b", ','), (std::vector<std::string>{"a", "", "b"}));
  EXPECT_EQ(split("", ','), (std::vector<std::string>{""}));
  EXPECT_EQ(join(split("a,b,c", ','), ", "), "a, b, c");
}

TEST(Text, TrimsAndLowers) {
  EXPECT_EQ(trimmed(" \ta b\n"), "a b");
  EXPECT_EQ(trimmed("  "), "");
  EXPECT_EQ(lower("AbZ9"), "abz9");
}

TEST(Text, WhatAnotherSaidBecomesOneLineOfLetters) {
  EXPECT_EQ(one_line("  a\r\nb\033[31mc\x7F \n"), "a  b [31mc");
  EXPECT_EQ(one_line("  abc\n", 2), "ab");
  EXPECT_EQ(one_line("\xC3\xA9t\xC3\xA9"), "\xC3\xA9t\xC3\xA9") << "what is not ASCII stays";
  EXPECT_EQ(one_line("\n"), "");
  EXPECT_EQ(one_line("a\xC2\x9B"
                     "31mb\xFF\x9B"
                     "c"),
            "a 31mb  c")
      << "no terminal obeys it";
  EXPECT_EQ(one_line("a\xC3\xA9", 2), "a") << "no letter is cut";
}

TEST(Text, IntegersAreWholeOrNothing) {
  EXPECT_EQ(parse_integer("-42"), -42);
  EXPECT_EQ(parse_integer("0"), 0);
  EXPECT_EQ(parse_integer("9223372036854775807"), INT64_MAX);
  for (const char* wrong :
       {"", "+1", "1 ", " 1", "1x", "0x1", "010", "-010", "9223372036854775808", "1.0", "-"}) {
    EXPECT_EQ(parse_integer(wrong), std::nullopt) << wrong;
  }
}

TEST(Text, NumbersAreFiniteAndWhole) {
  EXPECT_EQ(parse_number("0.5"), 0.5);
  EXPECT_EQ(parse_number("-1e-3"), -1e-3);
  EXPECT_EQ(parse_number("7"), 7.0);
  for (const char* wrong : {"", "nan", "inf", "-inf", "1e999", "1,5", "+1", "01.5", "1.5 "}) {
    EXPECT_EQ(parse_number(wrong), std::nullopt) << wrong;
  }
}

TEST(Text, DurationsNeedAUnit) {
  EXPECT_EQ(parse_duration("90s"), milliseconds(90'000));
  EXPECT_EQ(parse_duration("10m"), milliseconds(600'000));
  EXPECT_EQ(parse_duration("4h"), milliseconds(14'400'000));
  EXPECT_EQ(parse_duration("1d"), milliseconds(86'400'000));
  EXPECT_EQ(parse_duration("250ms"), milliseconds(250));
  EXPECT_EQ(parse_duration("1.5s"), milliseconds(1500));
  for (const char* wrong : {"", "5", "s", "-1s", "5 s", "5sec", "1e3s", "99999999999999d", ".5s"}) {
    EXPECT_EQ(parse_duration(wrong), std::nullopt) << wrong;
  }
}

TEST(Text, SizesAreExactAndBinary) {
  EXPECT_EQ(parse_bytes("512"), 512);
  EXPECT_EQ(parse_bytes("9007199254740993"), 9007199254740993);
  EXPECT_EQ(parse_bytes("64KiB"), 65536);
  EXPECT_EQ(parse_bytes("1GiB"), int64_t{1} << 30);
  EXPECT_EQ(parse_bytes("1.5MiB"), 3 << 19);
  for (const char* wrong : {"", "-1", "64KB", "64kib", "0.3KiB", "99999999TiB", "GiB"}) {
    EXPECT_EQ(parse_bytes(wrong), std::nullopt) << wrong;
  }
}

TEST(Text, FormatsForPeople) {
  EXPECT_EQ(format_bytes(512), "512 B");
  EXPECT_EQ(format_bytes(3.4 * (1 << 30)), "3.4 GiB");
  EXPECT_EQ(format_bytes(5e15), "4547.5 TiB");
  EXPECT_EQ(format_duration(milliseconds(250)), "250ms");
  EXPECT_EQ(format_duration(milliseconds(12'340)), "12.3s");
  EXPECT_EQ(format_duration(milliseconds(125'000)), "2m 05s");
  EXPECT_EQ(format_duration(milliseconds(3'900'000)), "1h 05m");
  EXPECT_EQ(format_duration(milliseconds(90'000'000)), "1d 01h");
  EXPECT_EQ(format_count(12'400'000), "12,400,000");
  EXPECT_EQ(format_count(-1000), "-1,000");
  EXPECT_EQ(format_count(999), "999");
}

TEST(Text, HexIsTwoLowerDigitsPerByte) {
  std::array bytes{std::byte{0x00}, std::byte{0x0f}, std::byte{0xff}};
  EXPECT_EQ(hex(bytes), "000fff");
}

TEST(Text, NamesAreShortAndPlain) {
  EXPECT_TRUE(is_name("part-0_A"));
  EXPECT_TRUE(is_name(std::string(64, 'a')));
  EXPECT_FALSE(is_name(std::string(65, 'a')));
  for (const char* wrong : {"", "a.b", "a/b", "ä", "a b", ".."}) EXPECT_FALSE(is_name(wrong)) << wrong;
}

TEST(Text, SuggestsOnlyWhatIsNear) {
  std::vector<std::string> keys{"epochs", "batch", "hidden", "lr"};
  EXPECT_EQ(nearest("epoch", keys), "epochs");
  EXPECT_EQ(nearest("hiddne", keys), "hidden");
  EXPECT_EQ(nearest("Batch", keys), "batch");
  EXPECT_EQ(nearest("optimizer", keys), std::nullopt);
  EXPECT_EQ(nearest("", keys), std::nullopt);
}

}  // namespace
}  // namespace gnnflow
