// The tables of a state: made anew, brought up to date, or refused.
#pragma once

#include <string_view>

#include "common/base/result.h"
#include "orchestrator/store/sqlite.h"

namespace gnnflow {

constexpr int64_t kApplicationId = 0x474e4601;  // "GNF" 1: what `file` shows
constexpr int64_t kSchemaVersion = 2;

enum class SchemaState { absent, older, current };

// What is in the file; `bad_state` when it is from a newer program, or none of ours.
Result<SchemaState> look_at_schema(Database& database);
// Version by version, each in one transaction: whatever moment it is killed at, the next call goes on. Sets
// WAL.
Status bring_schema_up(Database& database);

}  // namespace gnnflow
