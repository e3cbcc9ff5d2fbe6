// Content of files as messages: read from the disk, packed where that pays, and taken apart again at the
// other end.
#pragma once

#include <cstdint>
#include <string>

#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/result.h"
#include "common/wire/message.h"

namespace gnnflow {

constexpr size_t kChunkBytes = 1 << 20;

// One piece of a file, in the place that the list of its request gives it.
struct FileChunk {
  int64_t file = 0, offset = 0;
  std::string bytes;
};
// Unpacks; bad_data when it is not what it says.
Result<FileChunk> read_chunk(Message message);

// Makes the messages of one connection, and decides whether packing pays: only where a sample shrinks
// clearly, and only while more of the files gets through with it than without. That is measured, and now and
// then anew: it depends on the line and on cores that others use too.
class ChunkPacker {
 public:
  // `now`: what lies between two calls is the time that the first of the two chunks took.
  Message pack(FileChunk chunk, Monotonic now);
  int64_t bytes_in() const { return bytes_in_; }
  int64_t bytes_out() const { return bytes_out_; }

 private:
  // In this order; after `settled` comes `trying_packed` again.
  enum class Phase { beginning, trying_packed, trying_plain, settled };
  void measure(const FileChunk& next, Monotonic now);
  void advance();
  bool packs() const;

  Phase phase_ = Phase::beginning;
  bool settled_packs_ = true;
  bool shrinks_ = false;
  int64_t in_phase_ = 0;    // bytes
  double seconds_ = 0;      // of this phase
  double packed_rate_ = 0;  // bytes per second while packing was tried
  struct {
    int64_t file = -1, end = 0, bytes = 0;
    Monotonic at{};
  } last_;
  int64_t bytes_in_ = 0, bytes_out_ = 0;
};

// A file that is sent, from an offset to its end. What was changed since its digest was taken is bad_data.
class OutgoingFile {
 public:
  struct Source {
    fs::path path;
    int64_t bytes = 0;
    std::string digest;
  };
  static Result<OutgoingFile> open(Source source, int64_t offset);
  bool at_end() const { return offset_ == source_.bytes; }
  int64_t offset() const { return offset_; }
  // The next bytes. At the end of one that was read from its start the digest is compared.
  Result<std::string> next();

 private:
  OutgoingFile(Source source, FileDescriptor file, int64_t offset);
  Source source_;
  FileDescriptor file_;
  int64_t offset_ = 0;
  bool from_start_ = false;
  Digester digester_;
};

// "<path>: <how>; it was changed or cut short since its digest was taken"
Error changed_file(const fs::path& path, std::string_view how);

}  // namespace gnnflow
