// Files as chunks: what comes out is what went in, whatever is done to it on the way is noticed, packing
// follows its gain.
#include "common/wire/file_chunks.h"

#include <random>

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

std::string noise(size_t count) {
  std::mt19937 random(1);
  std::string bytes(count, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

Result<std::string> read_all(const fs::path& path, const std::string& content, int64_t offset = 0) {
  TRY(OutgoingFile file,
      OutgoingFile::open({path, static_cast<int64_t>(content.size()), digest_of(content)}, offset));
  std::string all;
  while (!file.at_end()) {
    TRY(std::string bytes, file.next());
    all += bytes;
    EXPECT_EQ(file.offset(), offset + static_cast<int64_t>(all.size()));
  }
  return all;
}

TEST(OutgoingFile, ReadsFromAnyOffset) {
  TempDir dir;
  const std::string content = noise(2'500'000);
  const fs::path path = dir.file("x", content);
  EXPECT_EQ(*read_all(path, content), content);
  EXPECT_EQ(*read_all(path, content, 2'000'000), content.substr(2'000'000));
  EXPECT_EQ(*read_all(path, content, 2'500'000), "");
  EXPECT_EQ(read_all(path, content, 2'500'001).error().cause, Cause::bad_data);
  EXPECT_EQ(*read_all(dir.file("empty", ""), ""), "");
}

TEST(OutgoingFile, NoticesThatTheFileWasChanged) {
  TempDir dir;
  const std::string content = noise(1'500'000);
  const auto said = [&](const fs::path& path) { return read_all(path, content).error().message; };
  EXPECT_EQ(
      said(dir / "none"),
      (dir / "none").string() + ": it is not there; it was changed or cut short since its digest was taken");
  EXPECT_NE(said(dir.file("short", "abc")).find("it has 3 bytes instead of 1500000"), std::string::npos);
  std::string flipped = content;
  flipped[700'000] ^= 1;
  EXPECT_NE(said(dir.file("flipped", flipped)).find("its digest is "), std::string::npos);
  EXPECT_NE(said(dir.path()).find("not a plain file"), std::string::npos);
  EXPECT_NE(
      OutgoingFile::open({dir.file("empty", ""), 0, digest_of("x")}, 0).error().message.find("it is empty"),
      std::string::npos);
  const fs::path path = dir.file("cut", content);
  Result<OutgoingFile> file = OutgoingFile::open({path, 1'500'000, digest_of(content)}, 0);
  ASSERT_TRUE(file && file->next());
  fs::resize_file(path, 1'200'000);
  EXPECT_NE(file->next().error().message.find("it ends 300000 bytes early"), std::string::npos);
}

TEST(FileChunk, ArrivesAsItWasSent) {
  ChunkPacker packer;
  int64_t file = 0;
  for (const std::string& bytes : {std::string("x"), noise(100'000), std::string(kChunkBytes, 'z')}) {
    Result<FileChunk> chunk = read_chunk(packer.pack({++file, 1'000'000, bytes}, Monotonic()));
    ASSERT_TRUE(chunk) << chunk.error().message;
    EXPECT_EQ(chunk->file, file);
    EXPECT_EQ(chunk->offset, 1'000'000);
    EXPECT_EQ(chunk->bytes, bytes);
  }
  EXPECT_LT(packer.bytes_out(), packer.bytes_in());
}

TEST(FileChunk, DamageIsAnErrorAndNeverMoreThanAChunk) {
  ChunkPacker packer;
  const Message packed = packer.pack({0, 0, std::string(50'000, 'z') + noise(100)}, Monotonic());
  ASSERT_TRUE(packed.head.has("plain"));
  for (size_t i = 0; i < packed.body.size(); ++i) {
    Message cut = packed, flipped = packed;
    cut.body.resize(i);
    EXPECT_FALSE(read_chunk(cut)) << i;
    flipped.body[i] = static_cast<char>(flipped.body[i] ^ 0x40);
    Result<FileChunk> chunk = read_chunk(flipped);
    EXPECT_TRUE(!chunk || chunk->bytes.size() == 50'100u) << i;
  }
  const auto with = [&](const char* key, Json value) {
    Message message = packed;
    message.head[key] = std::move(value);
    return read_chunk(message);
  };
  EXPECT_FALSE(with("plain", 50'101));
  EXPECT_FALSE(with("plain", "50100"));
  EXPECT_FALSE(with("file", -1));
  EXPECT_FALSE(with("offset", Json()));
  Message large;
  large.head = packed.head;
  large.head.object().erase("plain");
  large.body = std::string(kChunkBytes + 1, 'x');
  EXPECT_EQ(read_chunk(large).error().message, "a chunk has 1048577 bytes");
  large.body.clear();
  EXPECT_FALSE(read_chunk(large));
}

// Sends a file over a line that takes so long for each byte of the body, with packing that takes so long for
// each byte.
double packed_share(double line, double packing, const std::string& chunk, int count) {
  ChunkPacker packer;
  double now = 0;
  int packed = 0;
  for (int i = 0; i < count; ++i) {
    const auto at =
        Monotonic() + std::chrono::duration_cast<Monotonic::duration>(std::chrono::duration<double>(now));
    const Message message = packer.pack({0, i * static_cast<int64_t>(chunk.size()), chunk}, at);
    const bool was_packed = message.head.has("plain");
    packed += was_packed ? 1 : 0;
    now += line * static_cast<double>(message.body.size()) +
           (was_packed ? packing * static_cast<double>(chunk.size()) : 0);
  }
  return static_cast<double>(packed) / count;
}

TEST(ChunkPacker, PacksOnASlowLineAndNotOnAFastOne) {
  std::string half = noise(1 << 19);
  half += std::string(1 << 19, 'z');
  EXPECT_GT(packed_share(1e-8, 2e-9, half, 600), 0.9) << "100 MB/s";
  EXPECT_LT(packed_share(1e-9, 2e-9, half, 600), 0.2) << "1 GB/s";
  EXPECT_EQ(packed_share(1e-8, 0, noise(1 << 20), 20), 0) << "what does not shrink";
}

}  // namespace
}  // namespace gnnflow
