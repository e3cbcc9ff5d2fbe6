// The store's life: made, opened, taken, given back.
#include "orchestrator/store/run_store.h"

#include <cerrno>

#include <fcntl.h>

#include "common/base/log.h"
#include "orchestrator/store/holder.h"
#include "orchestrator/store/owner.h"
#include "orchestrator/store/run_store_state.h"
#include "orchestrator/store/schema.h"
#include "orchestrator/store/state_folder.h"

namespace gnnflow {
namespace {

// SQLite would make it readable for all.
Status make_private_file(const fs::path& path) {
  FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file) return system_error("making " + path.string(), errno);
  return {};
}

// The folder, and those above that may have been made with it: .gnnflow/<name>.
Status sync_new_state(const fs::path& folder) {
  const fs::path at = fs::absolute(folder).lexically_normal();
  TRY(sync_folder(at));
  TRY(sync_folder(at.parent_path()));
  return sync_folder(at.parent_path().parent_path());
}

}  // namespace

Status RunStore::State::become_holder(const StoreOwner& owner, const HostEntries& hosts,
                                      const fs::path& folder) {
  TRY(StoreOwner stored, read_owner(database()));
  TRY(check_owner(stored, owner, folder));
  const auto sign = [&]() -> Status {
    TRY(sign_as_holder(database()));
    return save_owner(database(), owner, hosts);
  };
  TRY(writer.write(sign));
  TRY(store_id, database().text("SELECT store_id FROM meta"));
  TRY(epoch, database().integer("SELECT epoch FROM meta"));
  if (epoch < 1)
    return Error{Cause::bad_state,
                 database().file().string() + ": its table meta is empty; restore it from a copy"};
  return {};
}

RunStore::RunStore(std::unique_ptr<State> state) : PastResults(state->database()), state_(std::move(state)) {}
RunStore::RunStore(RunStore&&) noexcept = default;
RunStore& RunStore::operator=(RunStore&&) noexcept = default;
RunStore::~RunStore() {
  if (!state_) return;
  if (Status flushed = state_->writer.flush(); !flushed) log_warning("{}", flushed.error().message);
}

Result<RunStore> RunStore::open(const fs::path& folder, const StoreOwner& owner, const HostEntries& hosts) {
  const StateFolder place{folder};
  TRY(refuse_network_file_system(folder));
  TRY(create_folders(folder));
  TRY(FileLock lock, take_state_lock(place));
  TRY(make_private_file(place.database()));
  TRY(Database database, Database::open(place.database(), Database::Mode::write));
  TRY(SchemaState schema, look_at_schema(database));
  if (schema != SchemaState::current) TRY(bring_schema_up(database));
  TRY(database.run("PRAGMA synchronous=FULL"));
  auto state = std::make_unique<State>(std::move(lock), std::move(database));
  state->made = schema == SchemaState::absent;
  if (state->made) TRY(sync_new_state(folder));
  TRY(state->become_holder(owner, hosts, folder));
  return RunStore(std::move(state));
}

const std::string& RunStore::store_id() const { return state_->store_id; }
int64_t RunStore::epoch() const { return state_->epoch; }
bool RunStore::made() const { return state_->made; }
int64_t RunStore::commits() const { return state_->writer.commits(); }

Status RunStore::together(const std::function<Status()>& writes) { return state_->writer.together(writes); }

Result<bool> RunStore::stop_requested(int64_t run) {
  // Asked often: the moment to write the last news of a task that says nothing more for a while.
  TRY(state_->writer.flush_when_due());
  TRY(int64_t asked,
      state_->database().integer("SELECT count(*) FROM request WHERE run=? AND what='stop'", {sql(run)}));
  return asked > 0;
}

Status RunStore::remember_digest(const fs::path& file, std::string_view stamp, std::string_view digest) {
  return state_->writer.write_loosely([&](Database& to) {
    return to.run("INSERT OR REPLACE INTO file_digest(path, stamp, digest) VALUES(?,?,?)",
                  {sql(file.native()), sql(stamp), sql(digest)});
  });
}

}  // namespace gnnflow
