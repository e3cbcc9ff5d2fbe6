// A graph server's life as a job: keys come first and stay in memory, then who may connect.
#include "worker/graph_server/serve_job.h"

#include <algorithm>
#include <memory>

#include <poll.h>

#include "common/base/log.h"
#include "worker/graph_server/server.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kKeysPatience{60'000};

Result<ServerOptions> options_of(const Task& task) {
  ServerOptions options;
  options.partition = task.spec.get("inputs").text_or("partition", "");
  options.part = static_cast<int>(task.spec.integer_or("part", -1));
  options.address = task.spec.text_or("address", "");
  options.threads = static_cast<int>(std::clamp<int64_t>(task.spec.integer_or("threads", 1), 1, 64));
  if (options.partition.empty() || options.part < 0 || options.address.empty()) {
    return Error{Cause::bad_usage, "the task of a graph server needs inputs.partition, part and address"};
  }
  return options;
}

Status take_keys(JobChannel& channel, ServerOptions& options) {
  TRY(const auto message,
      channel.wait_for("keys", Deadline::after(kKeysPatience)).within("waiting for keys"));
  options.keys = {message.head.text_or("public", ""), message.head.text_or("secret", "")};
  options.port = static_cast<int>(message.head.integer_or("port", 0));
  if (!is_public_key(options.keys.public_key) || !is_public_key(options.keys.secret_key)) {
    return Error{Cause::bad_usage, "the keys from the daemon are no CURVE keys"};
  }
  return {};
}

std::vector<std::string> texts_of(const Json& list) {
  std::vector<std::string> texts;
  if (!list.is_array()) return texts;
  for (const Json& item : list.array()) {
    if (item.is_string()) texts.push_back(item.string());
  }
  return texts;
}

void report_ready(JobChannel& channel, const ServerOptions& options, int port) {
  Message ready;
  ready.head["type"] = "ready";
  ready.head["part"] = options.part;
  ready.head["address"] = options.address;
  ready.head["port"] = port;
  ready.head["public_key"] = options.keys.public_key;
  channel.report(ready);
}

Status serve(const Task& task, JobChannel& channel) {
  TRY(auto options, options_of(task));
  TRY(take_keys(channel, options));
  TRY(auto started, GraphServer::start(options));
  const std::shared_ptr<GraphServer> server = std::move(started);
  // The handler may outlive the server: it stays with the channel.
  channel.on("allow", [&channel, weak = std::weak_ptr(server)](const Message& message) {
    const auto strong = weak.lock();
    if (!strong) return;
    const std::vector<std::string> keys = texts_of(message.head.get("keys"));
    strong->allow(keys);
    Message allowed;
    allowed.head["type"] = "allowed";
    allowed.head["count"] = static_cast<int64_t>(keys.size());
    channel.report(allowed);
  });
  report_ready(channel, options, server->port());
  log_info("graph server of part {} listens at {}:{}", options.part, options.address, server->port());

  pollfd stop{channel.stop().descriptor(), POLLIN, 0};
  while (!channel.stop().raised()) poll(&stop, 1, -1);
  log_info("graph server of part {} ends: {}", options.part, server->stats().dump());
  return {};
}

}  // namespace

int serve_job(const Task& task, JobChannel& channel) {
  const Status served = serve(task, channel);
  return served ? 0 : report_failure(channel, served.error());
}

}  // namespace gnnflow
