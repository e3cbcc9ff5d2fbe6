// Digests against published values, streamed and whole.
#include "common/base/digest.h"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(Digest, AreThePublishedValuesOfTheEmptyText) {
  EXPECT_EQ(digest_of(""), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(sha256_of({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_of(bytes("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Digest, StreamingInAnyPiecesGivesTheSame) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += std::to_string(i);
  for (size_t step : {1u, 7u, 1000u, 100000u}) {
    Digester digester;
    for (size_t at = 0; at < text.size(); at += step) digester.add(std::string_view(text).substr(at, step));
    EXPECT_EQ(digester.text(), digest_of(text)) << step;
  }
}

TEST(Digest, AskingInBetweenDoesNotDisturb) {
  Digester digester;
  digester.add("ab");
  EXPECT_EQ(digester.text(), digest_of("ab"));
  digester.add("c");
  EXPECT_EQ(digester.text(), digest_of("abc"));
}

TEST(Digest, FieldsDoNotRunIntoEachOther) {
  auto of = [](std::string_view first, std::string_view second) {
    Digester digester;
    digester.add_field(first);
    digester.add_field(second);
    return digester.text();
  };
  EXPECT_EQ(of("ab", "c"), of("ab", "c"));
  EXPECT_NE(of("ab", "c"), of("a", "bc"));
  EXPECT_NE(of("", "abc"), of("abc", ""));
}

TEST(Digest, OfAFileIsThatOfItsContent) {
  TempDir dir;
  std::string text(3'000'000, 'x');
  fs::path file = dir.file("a", text);
  EXPECT_EQ(*digest_of_file(file), digest_of(text));
  EXPECT_EQ(digest_of_file(dir / "absent").error().cause, Cause::not_found);
  EXPECT_EQ(digest_of_file(dir / "absent").error().message,
            "opening " + (dir / "absent").string() + ": No such file or directory");
}

TEST(Digest, IsToldFromOtherText) {
  EXPECT_TRUE(is_digest(digest_of("content")));
  for (const std::string& other :
       {std::string(), std::string(31, 'a'), std::string(33, 'a'), std::string(32, 'g'), std::string(32, 'A'),
        "../" + std::string(29, 'a')}) {
    EXPECT_FALSE(is_digest(other)) << other;
  }
}

TEST(Digest, OfAFileEndsWhenItIsStopped) {
  TempDir dir;
  fs::path file = dir.file("a", "content");
  StopSignal stop;
  EXPECT_EQ(*digest_of_file(file, &stop), digest_of("content"));
  stop.raise(Cause::interrupted);
  EXPECT_EQ(digest_of_file(file, &stop).error().cause, Cause::interrupted);
}

}  // namespace
}  // namespace gnnflow
