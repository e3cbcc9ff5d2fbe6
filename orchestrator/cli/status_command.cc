// `gnnflow status`: from the database alone.
#include <cstdlib>

#include "common/base/clock.h"
#include "orchestrator/cli/colour.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/state_place.h"
#include "orchestrator/cli/status_view.h"
#include "orchestrator/store/run_store.h"
#include "orchestrator/workflow/workflow.h"

namespace gnnflow {
namespace {

// The state does not hold it; where its folder was chosen freely, that may have any name.
std::string workflow_name(const StatePlace& place) {
  if (!place.file.empty()) {
    if (Result<std::string> name = read_workflow_name(place.file)) return *name;
  }
  return (place.folder / "").lexically_normal().parent_path().filename().string();
}

}  // namespace

Result<int> status_command(const CommandLine& line, const Console& console) {
  TRY(StatePlace place, find_state(line, console));
  TRY(StoreReader reader, StoreReader::open(place.folder));
  TRY(RunStatus status, reader.status(line.run > 0 ? std::optional<int64_t>(line.run) : std::nullopt));
  StatusScene scene{workflow_name(place), system_clock().unix_milliseconds(),
                    wants_colour(line.colour, console.out_is_terminal)};
  if (line.json) {
    console.out(status_json(status, scene).dump() + "\n");
  } else {
    console.out(status_text(status, scene));
  }
  return line.exit_code ? status_exit_code(status) : 0;
}

}  // namespace gnnflow
