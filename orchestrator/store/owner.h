// Whose state it is: one workflow's, and nobody else's.
#pragma once

#include "common/base/file.h"
#include "common/base/result.h"
#include "orchestrator/store/run_rows.h"
#include "orchestrator/store/sqlite.h"

namespace gnnflow {

Result<StoreOwner> read_owner(Database& database);
// `bad_usage` when the state is another workflow's: of another name, or of another file that is still there.
Status check_owner(const StoreOwner& stored, const StoreOwner& wanted, const fs::path& folder);
// With what the workflow says of its hosts; nothing when the owner has no name. REQUIRES: a transaction.
Status save_owner(Database& database, const StoreOwner& owner, const HostEntries& hosts);

}  // namespace gnnflow
