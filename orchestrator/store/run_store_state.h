// What a RunStore holds, for the files that write its tables.
#pragma once

#include <string>
#include <utility>

#include "orchestrator/store/run_store.h"
#include "orchestrator/store/sqlite.h"
#include "orchestrator/store/store_writer.h"

namespace gnnflow {

struct RunStore::State {
  FileLock lock;  // freed last
  StoreWriter writer;
  std::string store_id;
  int64_t epoch = 0;
  bool made = false;

  State(FileLock held, Database opened) : lock(std::move(held)), writer(std::move(opened)) {}
  Database& database() { return writer.database(); }
  Status become_holder(const StoreOwner& owner, const HostEntries& hosts, const fs::path& folder);
};

inline int64_t now_ms() { return system_clock().unix_milliseconds(); }
inline int64_t or_now(int64_t time_ms) { return time_ms > 0 ? time_ms : now_ms(); }

}  // namespace gnnflow
