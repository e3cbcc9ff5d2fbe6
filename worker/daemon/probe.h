// Can one host reach another? Routes, throw-away listeners, and trials to reach those of other hosts: before
// anything large is started.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/result.h"
#include "worker/daemon/watch.h"

namespace gnnflow {

// The address of this host from which packets go to another; empty where no route leads. Nothing is sent.
// `bad_data`: no numeric address.
Result<std::string> source_address_towards(const std::string& address);

struct ListenRequest {
  std::string address;  // numeric, no wildcard
  Milliseconds length{};
};
struct Listening {
  int port = 0;
  std::string nonce;  // what each who connects is told
};

struct DialRequest {
  std::string address;  // numeric
  int port = 0;
  std::string nonce;
  Milliseconds timeout{};
};

// Use from the daemon's loop. Nothing in it waits; what is open ends with its time or with the object.
class Probes {
 public:
  using Done = std::function<void(Status)>;  // called once, on the loop's thread

  Result<Listening> listen(const ListenRequest& request);
  // `unreachable` names the address and what happened there.
  void dial(const DialRequest& request, Done done);

  void add_watches(std::vector<Watch>& watches);
  void do_what_is_due();
  Milliseconds until_due() const;

 private:
  struct Listener {
    FileDescriptor socket;
    std::string nonce;
    Monotonic ends;
    Monotonic rests_until{};  // after an accept that failed
  };
  struct Dial {
    FileDescriptor socket;
    DialRequest request;
    Monotonic ends;
    Done done;
    bool connected = false;
    std::string heard;
  };
  using ListenerPointer = std::shared_ptr<Listener>;
  using DialPointer = std::shared_ptr<Dial>;

  Result<DialPointer> begin(const DialRequest& request);
  static void greet(Listener& listener);
  void go_on(const DialPointer& dial);
  void finish(const DialPointer& dial, Status how);

  std::vector<ListenerPointer> listeners_;
  std::vector<DialPointer> dials_;
};

}  // namespace gnnflow
