// Who holds a state: the lock, and the name of its holder for those who find it taken.
#pragma once

#include <optional>
#include <string>

#include "common/base/file.h"
#include "common/base/result.h"
#include "orchestrator/store/sqlite.h"
#include "orchestrator/store/state_folder.h"

namespace gnnflow {

// `locked` with who holds it.
Result<FileLock> take_state_lock(const StateFolder& place);
// This process as the holder, with a new epoch. REQUIRES: a transaction.
Status sign_as_holder(Database& database);
// "process 12 on box since ..."; nothing while whoever holds the lock has not yet signed.
Result<std::optional<std::string>> holder_of(Database& database);

}  // namespace gnnflow
