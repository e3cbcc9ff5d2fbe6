// Chunk after chunk; the controller checks what came.
#include "worker/receive/get.h"

#include "common/base/incoming.h"
#include "common/wire/file_chunks.h"
#include "worker/receive/wanted.h"

namespace gnnflow {

Told send_files(Frames& frames, const Json& request) {
  Result<fs::path> root = root_of(request);
  if (!root) return {root.error()};
  Result<std::vector<WantedFile>> files = files_of(request, "from");
  if (!files) return {files.error()};
  ChunkPacker packer;
  for (size_t i = 0; i < files->size(); ++i) {
    const WantedFile& wanted = (*files)[i];
    Result<fs::path> path = path_below(*root, wanted.path);
    if (!path) return {path.error()};
    Result<OutgoingFile> file = OutgoingFile::open({*path, wanted.bytes, wanted.digest}, wanted.offset);
    if (!file) return {file.error()};
    while (!file->at_end()) {
      const int64_t offset = file->offset();
      Result<std::string> bytes = file->next();
      if (!bytes) return {bytes.error()};
      FileChunk chunk{static_cast<int64_t>(i), offset, std::move(*bytes)};
      if (Status sent = frames.send(packer.pack(std::move(chunk), system_clock().now())); !sent)
        return {sent, true};
    }
  }
  return {};
}

}  // namespace gnnflow
