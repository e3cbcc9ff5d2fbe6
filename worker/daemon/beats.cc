// Beats to all channels.
#include "worker/daemon/beats.h"

#include <algorithm>
#include <utility>

namespace gnnflow {
namespace {

constexpr int64_t kEvery = 2000;  // milliseconds
constexpr int64_t kPerLease = 4;  // and at least so many in a lease, however short that is

}  // namespace

Beats::Beats(Milliseconds lease, Milliseconds grace)
    : lease_ms_(lease.count()), grace_ms_(grace.count()), thread_([this] { run(); }) {}

Beats::~Beats() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Beats::set(Milliseconds lease, Milliseconds grace) {
  grace_ms_ = grace.count();
  if (lease_ms_.exchange(lease.count()) == lease.count()) return;
  {
    std::lock_guard lock(mutex_);
    changed_lease_ = true;
  }
  changed_.notify_all();
}

Message Beats::beat() const {
  Message message;
  message.head["type"] = "beat";
  message.head["lease_ms"] = lease_ms_.load();
  message.head["grace_ms"] = grace_ms_.load();
  return message;
}

void Beats::add(std::shared_ptr<Channel> channel) {
  channel->send(beat());
  std::lock_guard lock(mutex_);
  channels_.push_back(std::move(channel));
}

void Beats::remove(const std::shared_ptr<Channel>& channel) {
  std::lock_guard lock(mutex_);
  std::erase(channels_, channel);
}

void Beats::run() {
  std::unique_lock lock(mutex_);
  auto gap = [&] { return Milliseconds(std::clamp<int64_t>(lease_ms_ / kPerLease, 1, kEvery)); };
  // A lease that has just become short is seen at once: set() wakes this thread.
  while (true) {
    bool closing =
        changed_.wait_for(lock, gap(), [&] { return closed_ || std::exchange(changed_lease_, false); });
    if (closing && closed_) return;
    Message message = beat();
    for (const auto& channel : channels_) channel->send(message);
  }
}

}  // namespace gnnflow
