// Orders to the daemons.
#include "orchestrator/cli/gc_hosts.h"

#include <thread>

#include <fmt/format.h>

#include "common/base/child_process.h"
#include "common/wire/message_of.h"
#include "orchestrator/cli/on_each.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kReach{60'000};  // a host may have to be sent our programs first
constexpr Milliseconds kInventory{120'000};
constexpr Milliseconds kEndJob{60'000};
constexpr Milliseconds kRemove{600'000};  // a result may have a million files
constexpr Milliseconds kEnd{60'000};
constexpr Milliseconds kLook{10};
constexpr std::string_view kPrograms = "bundles";

Result<std::vector<StoredThing>> parse_inventory(const Message& answer, const std::string& host) {
  TRY(Json list, Json::parse(answer.body).within("inventory of host " + host));
  std::vector<StoredThing> things;
  if (!list.is_array()) return Error{Cause::bad_data, "inventory of host " + host + ": no list"};
  for (const Json& row : list.array()) {
    StoredThing thing{std::string(row.text_or("path", "")), row.integer_or("bytes", 0),
                      row.integer_or("changed_ms", 0)};
    if (!is_inside(thing.path)) {
      return Error{Cause::bad_data, fmt::format("inventory of host {}: '{}' is no path", host, thing.path)};
    }
    things.push_back(std::move(thing));
  }
  return things;
}

// Its lock is free when it has gone, not when it has answered.
Status wait_for_end(Host& host) {
  const Deadline deadline = Deadline::after(kEnd);
  while (true) {
    TRY(bool alive, host.daemon_alive());
    if (!alive) return {};
    if (deadline.passed()) {
      return Error{Cause::temporary, fmt::format("host {}: its daemon has not ended yet", host.name())};
    }
    std::this_thread::sleep_for(kLook);
  }
}

Status leave(HostTidy& at) {
  const std::unique_ptr<DaemonLink> link = std::move(at.link);
  if (at.leave_running) return {};
  TRY(link->order(message_of("goodbye"), Deadline::after(kEnd)));
  return wait_for_end(*at.host);
}

}  // namespace

void on_all(std::vector<HostTidy>& hosts, const std::function<Status(HostTidy&)>& work) {
  on_each(hosts, [&work](HostTidy& at) {
    if (at.error || !at.passed_over.empty()) return;
    if (Status done = work(at); !done) at.error = std::move(done).error();
  });
}

Result<std::vector<StoredThing>> look_at(HostTidy& at, const DaemonGreeting& greeting, const GcPlan& plan) {
  TRY(at.host->start_daemon(greeting.lease, greeting.grace, Deadline::after(kReach)));
  const DaemonLink::Sink deaf = [](const std::string&, const Message&) {};
  TRY(at.link, DaemonLink::open(*at.host, greeting, deaf, Deadline::after(kReach)));
  if (const Json& jobs = at.link->greeting().get("jobs"); jobs.is_array()) {
    for (const Json& job : jobs.array()) {
      // What was lost has no result that could still be taken.
      if (job.text_or("state", "") != "lost" && plan.is_unfinished(job.text_or("token", ""))) {
        at.leave_running = true;
      }
    }
  }
  TRY(Message answer, at.link->order(message_of("inventory"), Deadline::after(kInventory)));
  return parse_inventory(answer, at.host->name());
}

Status sweep_programs(HostTidy& at, Programs what, bool all) {
  TRY(Message answer,
      at.link->order(message_of("bundles", {{"dry_run", what == Programs::look}, {"all", all}}),
                     Deadline::after(kRemove)));
  std::erase_if(at.doomed, [](const StoredThing& thing) { return thing.path.starts_with(kPrograms); });
  if (const Json& removed = answer.head.get("removed"); removed.is_array()) {
    for (const Json& row : removed.array()) {
      at.doomed.push_back({std::string(row.text_or("path", "")), row.integer_or("bytes", 0), 0});
    }
  }
  return {};
}

Status end_jobs(HostTidy& at, const GcPlan& plan, Jobs which) {
  const Json& jobs = at.link->greeting().get("jobs");
  if (!jobs.is_array()) return {};
  for (const Json& job : jobs.array()) {
    const std::string token = job.text_or("token", "");
    if (which == Jobs::strangers && plan.is_unfinished(token)) continue;
    for (const char* type : {"discard", "acknowledge"}) {
      TRY(at.link->order(message_of(type, {{"token", token}}), Deadline::after(kEndJob)));
    }
  }
  if (which == Jobs::all) at.leave_running = false;
  return {};
}

Status remove_doomed(HostTidy& at, const StopSignal& stop) {
  std::vector<StoredThing> removed;
  Status status;
  for (StoredThing& thing : at.doomed) {
    if (stop.raised()) {
      status = Error{stop.cause(), "stopped; the next gc removes the rest"};
      break;
    }
    if (thing.path.starts_with(kPrograms)) continue;
    Result<Message> answer =
        at.link->order(message_of("remove", {{"path", thing.path}}), Deadline::after(kRemove));
    if (answer) {
      removed.push_back(std::move(thing));
    } else if (answer.error().cause != Cause::locked) {  // in use again: not ours to take
      status = std::move(answer).error();
      break;
    }
  }
  at.doomed = std::move(removed);
  return status;
}

Status forget(HostTidy& at) {
  Result<Message> answer = at.link->order(message_of("forget"), Deadline::after(kRemove));
  if (!answer) {
    at.doomed.clear();
    return std::move(answer).error();
  }
  if (const Json& left = answer->head.get("left"); left.is_array()) {
    for (const Json& name : left.array()) at.left.push_back(name.is_string() ? name.string() : name.dump());
  }
  // Elsewhere what could say whether it has ended is gone with the rest.
  const Json& greeting = at.link->greeting();
  const ProcessIdentity daemon{static_cast<int>(greeting.integer_or("pid", 0)),
                               greeting.integer_or("start_time", 0),
                               std::string(greeting.text_or("boot", ""))};
  at.link.reset();
  const Deadline deadline = Deadline::after(kEnd);
  while (at.host->address().empty() && daemon.alive() && !deadline.passed())
    std::this_thread::sleep_for(kLook);
  return {};
}

void leave_all(std::vector<HostTidy>& hosts) {
  on_each(hosts, [](HostTidy& at) {
    if (!at.link) return;
    Status left = leave(at);
    if (!left && !at.error) at.error = std::move(left).error();
  });
}

}  // namespace gnnflow
