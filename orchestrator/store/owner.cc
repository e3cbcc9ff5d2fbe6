// The workflow's name and file in the table meta, its hosts in the table host.
#include "orchestrator/store/owner.h"

#include <fmt/format.h>

namespace gnnflow {
namespace {

// A folder that was moved with its state in it has another path; its old file is gone.
bool is_same_file(const fs::path& stored, const fs::path& wanted) {
  std::error_code error;
  return stored == wanted || !fs::exists(stored, error) || fs::equivalent(stored, wanted, error);
}

}  // namespace

Result<StoreOwner> read_owner(Database& database) {
  StoreOwner owner;
  TRY(database.each("SELECT workflow, workflow_file, lease_ms, grace_ms FROM meta", {},
                    [&](const SqlRow& row) {
                      owner.workflow = row.text(0);
                      owner.file = row.text(1);
                      owner.lease = Milliseconds(row.integer(2));
                      owner.grace = Milliseconds(row.integer(3));
                      return Status();
                    }));
  return owner;
}

Status check_owner(const StoreOwner& stored, const StoreOwner& wanted, const fs::path& folder) {
  if (stored.workflow.empty() || wanted.workflow.empty()) return {};
  if (stored.workflow == wanted.workflow && is_same_file(stored.file, wanted.file)) return {};
  const std::string whose = fmt::format("{}: the state of workflow '{}', {}", folder.string(),
                                        stored.workflow, stored.file.string());
  const std::string remedy =
      stored.workflow == wanted.workflow
          ? fmt::format(
                "{} has the same name: give it another `name:`, or a state of its own with --state DIR",
                wanted.file.string())
          : fmt::format("give '{}', {}, a folder of its own with --state DIR", wanted.workflow,
                        wanted.file.string());
  return Error{Cause::bad_usage, whose + "; " + remedy};
}

Status save_owner(Database& database, const StoreOwner& owner, const HostEntries& hosts) {
  if (owner.workflow.empty()) return {};
  TRY(database.run(
      "UPDATE meta SET workflow=?, workflow_file=?, lease_ms=?, grace_ms=?",
      {sql(owner.workflow), sql(owner.file.native()), sql(owner.lease.count()), sql(owner.grace.count())}));
  for (const auto& [name, entry] : hosts) {
    // No daemon was ever started where nothing is known yet.
    TRY(
        database.run("INSERT INTO host(name, state, root, entry) VALUES(?,'gone','',?)"
                     " ON CONFLICT(name) DO UPDATE SET entry=excluded.entry",
                     {sql(name), sql(entry.dump())}));
  }
  return {};
}

}  // namespace gnnflow
