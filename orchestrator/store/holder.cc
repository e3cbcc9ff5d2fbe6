// The lock is the kernel's; the name in the database is only for people.
#include "orchestrator/store/holder.h"

#include <thread>

#include <fmt/format.h>
#include <unistd.h>

#include "common/base/child_process.h"

namespace gnnflow {
namespace {

constexpr int kHolderTries = 50;
constexpr Milliseconds kHolderPause{20};

std::string this_host() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

std::optional<std::string> read_holder(const StateFolder& place) {
  Result<Database> database = Database::open(place.database(), Database::Mode::read, Milliseconds(200));
  if (!database) return std::nullopt;
  return holder_of(*database).value_or(std::nullopt);
}

}  // namespace

Result<std::optional<std::string>> holder_of(Database& database) {
  std::optional<std::string> holder;
  TRY(database.each(
      "SELECT holder_pid, holder_start, holder_boot, holder_host, holder_since_ms FROM meta", {},
      [&](const SqlRow& row) {
        const ProcessIdentity who{static_cast<int>(row.integer(0)), row.integer(1), row.text(2)};
        // 0: it has just made the state and not yet signed. A dead one of this machine was here
        // before it.
        if (who.pid > 0 && (row.text(3) != this_host() || who.alive())) {
          holder =
              fmt::format("process {} on {} since {}", who.pid, row.text(3), format_time(row.integer(4)));
        }
        return Status();
      }));
  return holder;
}

Result<FileLock> take_state_lock(const StateFolder& place) {
  Result<FileLock> lock = FileLock::take(place.lock());
  if (lock || lock.error().cause != Cause::locked) return lock;
  std::optional<std::string> holder = read_holder(place);
  for (int i = 0; !holder && i < kHolderTries; ++i) {
    std::this_thread::sleep_for(kHolderPause);
    holder = read_holder(place);
  }
  return Error{Cause::locked,
               fmt::format("{}: another controller holds the state: {}; wait until it has ended, or end it",
                           place.folder.string(), holder.value_or("one that is just starting or ending"))};
}

Status sign_as_holder(Database& database) {
  TRY(ProcessIdentity self, identity_of(::getpid()));
  return database.run(
      "UPDATE meta SET epoch=epoch+1, holder_host=?, holder_pid=?, holder_start=?, holder_boot=?, "
      "holder_since_ms=?",
      {sql(this_host()), sql(self.pid), sql(self.start_time), sql(self.boot),
       sql(system_clock().unix_milliseconds())});
}

}  // namespace gnnflow
