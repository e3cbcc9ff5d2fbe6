// Rows of the tables as the structs of run_rows.h, for both sides of the store.
#pragma once

#include <string_view>
#include <vector>

#include "orchestrator/store/run_rows.h"
#include "orchestrator/store/sqlite.h"

namespace gnnflow {

std::string_view name_of(Decision decision);
std::string_view name_of(HostState state);

// `rest` follows the SELECT: "WHERE ... ORDER BY ...".
Result<std::vector<RunRow>> read_runs(Database& database, std::string_view rest,
                                      std::initializer_list<SqlValue> values);
Result<std::vector<AttemptRow>> read_attempts(Database& database, std::string_view rest,
                                              std::initializer_list<SqlValue> values);
Result<std::vector<TaskRow>> read_tasks(Database& database, int64_t attempt);
Result<std::vector<RunStepRow>> read_run_steps(Database& database, int64_t run);
Result<std::vector<LocationRow>> read_locations(Database& database, std::string_view rest,
                                                std::initializer_list<SqlValue> values);
Result<std::vector<HostRow>> read_hosts(Database& database);
// Of run ?1, after event ?2. There may be very many: a test looks at how SQLite finds them.
constexpr std::string_view kEventsQuery =
    "SELECT id, time_ms, run, step, text FROM event WHERE run=? AND id>? ORDER BY id LIMIT 10000";

}  // namespace gnnflow
