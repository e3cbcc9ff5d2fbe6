// What a daemon link told its sink, for tests that wait for it.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "orchestrator/remote/daemon_link.h"

namespace gnnflow {

// Any thread. Outlives the link.
class RecordedEvents {
 public:
  DaemonLink::Sink sink() {
    return [this](const std::string&, Message event) {
      std::lock_guard lock(mutex_);
      events_.push_back(std::move(event));
      changed_.notify_all();
    };
  }
  // "started", "report ready", "exited", "closed" ... in the order in which they came.
  std::vector<std::string> names() const {
    std::lock_guard lock(mutex_);
    std::vector<std::string> names;
    for (const Message& event : events_) {
      std::string name = event.type() == "event" ? event.head.text_or("event", "") : event.type();
      if (name == "report") name += " " + event.head.get("message").text_or("type", "");
      names.push_back(std::move(name));
    }
    return names;
  }
  // False when fewer came within ten seconds.
  bool wait_for(size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, Milliseconds(10'000), [&] { return events_.size() >= count; });
  }
  // The event of the job's end; an empty message when it did not come within a minute.
  Message wait_for_exit(const std::string& token) {
    std::unique_lock lock(mutex_);
    Message found;
    changed_.wait_for(lock, Milliseconds(60'000), [&] {
      for (const Message& event : events_) {
        if (event.head.text_or("event", "") == "exited" && event.head.text_or("token", "") == token)
          found = event;
      }
      return found.head.is_object();
    });
    return found;
  }
  Message at(size_t index) const {
    std::lock_guard lock(mutex_);
    return events_.at(index);
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Message> events_;  // guarded by mutex_
};

}  // namespace gnnflow
