// Inside orchestrator/remote: what the requests and the streams of FarFiles share.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/wire/file_chunks.h"
#include "common/wire/message.h"
#include "orchestrator/remote/far_files.h"

namespace gnnflow {

// One thread at a time.
class FarTalk {
 public:
  FarTalk(MessageLink link, FarFilesSettings settings)
      : link_(std::move(link)), settings_(std::move(settings)) {}

  Status send(const Message& message, const StopSignal* stop);
  Result<std::optional<Message>> look();         // what is there without waiting
  Result<Message> next(const StopSignal* stop);  // "working" is not handed on
  Result<Message> ask(const Message& request, const StopSignal* stop = nullptr);
  // Nothing when it is an answer that says yes; else what the far end refuses with.
  Status refusal(const Message& reply);
  Error broke(Error error);  // the conversation is over; returns the error
  bool broken() const { return broken_; }
  const FarFilesSettings& settings() const { return settings_; }
  void set_settings(FarFilesSettings settings) { settings_ = std::move(settings); }

  ChunkPacker packer;

 private:
  bool is_only_alive(const Message& message);
  MessageLink link_;
  FarFilesSettings settings_;
  bool broken_ = false;
  std::string waits_;  // what was told last
};

struct FarSource {
  FarFolder from;
  const std::vector<HostFile>& files;
  fs::path to;
};

Json json_of(const HostFile& file);
Status put_files(FarTalk& talk, const std::vector<FilePair>& files, const FarFolder& to,
                 const TransferProgress& progress, const StopSignal& stop);
Status get_files(FarTalk& talk, const FarSource& source, const TransferProgress& progress,
                 const StopSignal& stop);

}  // namespace gnnflow
