// Reading, packing, unpacking.
#include "common/wire/file_chunks.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/compress.h"

namespace gnnflow {
namespace {

constexpr int kLevel = 1;
constexpr size_t kSampleBytes = 64 << 10;
constexpr double kClearly = 0.8;
constexpr int64_t kSampleEvery = 64 * int64_t{kChunkBytes};
constexpr int64_t kBeginning = 8 << 20;  // what the buffers of a line swallow says nothing about it
constexpr int64_t kTrial = 8 << 20;
constexpr int64_t kSettled = 512 << 20;

Error bad_chunk(std::string message) { return {Cause::bad_data, "a chunk " + std::move(message)}; }

bool shrinks_clearly(std::string_view bytes) {
  const std::string_view sample =
      bytes.substr((bytes.size() - std::min(bytes.size(), kSampleBytes)) / 2, kSampleBytes);
  return static_cast<double>(compress(sample, kLevel).size()) < kClearly * static_cast<double>(sample.size());
}

}  // namespace

Error changed_file(const fs::path& path, std::string_view how) {
  return {Cause::bad_data,
          fmt::format("{}: {}; it was changed or cut short since its digest was taken", path.string(), how)};
}

Result<FileChunk> read_chunk(Message message) {
  FileChunk chunk{message.head.integer_or("file", -1), message.head.integer_or("offset", -1), {}};
  if (chunk.file < 0 || chunk.offset < 0) return bad_chunk("does not say where it belongs");
  if (!message.head.has("plain")) {
    chunk.bytes = std::move(message.body);
  } else {
    TRY(chunk.bytes, decompress(message.body, kChunkBytes));
    if (static_cast<int64_t>(chunk.bytes.size()) != message.head.integer_or("plain", -1))
      return bad_chunk("is not as long as it says");
  }
  if (chunk.bytes.empty() || chunk.bytes.size() > kChunkBytes)
    return bad_chunk(fmt::format("has {} bytes", chunk.bytes.size()));
  return chunk;
}

bool ChunkPacker::packs() const {
  if (phase_ == Phase::settled) return settled_packs_;
  return phase_ != Phase::trying_plain;
}

void ChunkPacker::advance() {
  const double rate = seconds_ > 0 ? static_cast<double>(in_phase_) / seconds_ : 0;
  switch (phase_) {
    case Phase::beginning:
      if (in_phase_ < kBeginning) return;
      phase_ = Phase::trying_packed;
      break;
    case Phase::trying_packed:
      if (in_phase_ < kTrial) return;
      packed_rate_ = rate;
      phase_ = Phase::trying_plain;
      break;
    case Phase::trying_plain:
      if (in_phase_ < kTrial) return;
      settled_packs_ = packed_rate_ >= rate;
      phase_ = Phase::settled;
      break;
    case Phase::settled:
      if (in_phase_ < kSettled) return;
      phase_ = Phase::trying_packed;
      break;
  }
  in_phase_ = 0;
  seconds_ = 0;
}

// Only between neighbours in one file: elsewhere the sender may have waited for an answer.
void ChunkPacker::measure(const FileChunk& next, Monotonic now) {
  if (shrinks_ && next.file == last_.file && next.offset == last_.end) {
    in_phase_ += last_.bytes;
    seconds_ += std::chrono::duration<double>(now - last_.at).count();
    advance();
  }
  const int64_t bytes = static_cast<int64_t>(next.bytes.size());
  last_ = {next.file, next.offset + bytes, bytes, now};
}

Message ChunkPacker::pack(FileChunk chunk, Monotonic now) {
  const bool new_file = chunk.file != last_.file;
  measure(chunk, now);
  if (new_file || chunk.offset % kSampleEvery == 0) shrinks_ = shrinks_clearly(chunk.bytes);
  Message message;
  message.head["type"] = "chunk";
  message.head["file"] = chunk.file;
  message.head["offset"] = chunk.offset;
  bytes_in_ += static_cast<int64_t>(chunk.bytes.size());
  if (shrinks_ && packs()) message.body = compress(chunk.bytes, kLevel);
  if (message.body.empty() || message.body.size() >= chunk.bytes.size()) {
    message.body = std::move(chunk.bytes);
  } else {
    message.head["plain"] = static_cast<int64_t>(chunk.bytes.size());
  }
  bytes_out_ += static_cast<int64_t>(message.body.size());
  return message;
}

OutgoingFile::OutgoingFile(Source source, FileDescriptor file, int64_t offset)
    : source_(std::move(source)), file_(std::move(file)), offset_(offset), from_start_(offset == 0) {}

Result<OutgoingFile> OutgoingFile::open(Source source, int64_t offset) {
  FileDescriptor file(::open(source.path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file && errno == ENOENT) return changed_file(source.path, "it is not there");
  struct stat info {};
  if (!file || ::fstat(file.get(), &info) != 0) return system_error("opening " + source.path.string(), errno);
  if (!S_ISREG(info.st_mode)) return Error{Cause::bad_data, source.path.string() + ": not a plain file"};
  if (info.st_size != source.bytes)
    return changed_file(source.path,
                        fmt::format("it has {} bytes instead of {}", info.st_size, source.bytes));
  if (offset < 0 || offset > source.bytes)
    return Error{Cause::bad_data,
                 fmt::format("{}: offset {} is not inside it", source.path.string(), offset)};
  // (Of an empty one no byte is read after which its digest could be looked at.)
  if (source.bytes == 0 && source.digest != digest_of(""))
    return changed_file(source.path, fmt::format("it is empty, its digest was {}", source.digest));
  (void)::posix_fadvise(file.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  return OutgoingFile(std::move(source), std::move(file), offset);
}

Result<std::string> OutgoingFile::next() {
  std::string bytes(static_cast<size_t>(std::min<int64_t>(source_.bytes - offset_, kChunkBytes)), '\0');
  size_t filled = 0;
  while (filled < bytes.size()) {
    ssize_t got = ::pread(file_.get(), bytes.data() + filled, bytes.size() - filled,
                          offset_ + static_cast<int64_t>(filled));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("reading " + source_.path.string(), errno);
    if (got == 0)
      return changed_file(source_.path, fmt::format("it ends {} bytes early",
                                                    source_.bytes - offset_ - static_cast<int64_t>(filled)));
    filled += static_cast<size_t>(got);
  }
  offset_ += static_cast<int64_t>(bytes.size());
  if (!from_start_) return bytes;
  digester_.add(bytes);
  if (at_end() && digester_.text() != source_.digest)
    return changed_file(source_.path,
                        fmt::format("its digest is {} instead of {}", digester_.text(), source_.digest));
  return bytes;
}

}  // namespace gnnflow
