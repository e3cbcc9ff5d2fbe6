// `gnnflow status`: from the database alone.
#include "orchestrator/cli/colour.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/state_place.h"
#include "orchestrator/cli/status_view.h"
#include "orchestrator/cli/status_watch.h"
#include "orchestrator/store/store_reader.h"
#include "orchestrator/workflow/workflow.h"

namespace gnnflow {
namespace {

// As the file says, else as the state does; where neither can, by the folder's name.
std::string workflow_name(const StatePlace& place, StoreReader& reader) {
  if (!place.file.empty()) {
    if (Result<std::string> name = read_workflow_name(place.file)) return *name;
  }
  if (Result<StoreOwner> owner = reader.owner(); owner && !owner->workflow.empty()) return owner->workflow;
  return (place.folder / "").lexically_normal().parent_path().filename().string();
}

}  // namespace

Result<int> status_command(const CommandLine& line, const Console& console) {
  TRY(StatePlace place, find_state(line, console));
  TRY(StoreReader reader, StoreReader::open(place.folder));
  TRY(RunStatus status, reader.status(line.run > 0 ? std::optional<int64_t>(line.run) : std::nullopt));
  StatusScene scene{workflow_name(place, reader), system_clock().unix_milliseconds(),
                    wants_colour(line.colour, console.out_is_terminal)};
  if (line.watch) {
    TRY(status, watch_status(reader, std::move(status), scene, console));
  } else if (line.json) {
    console.out(status_json(status, scene).dump() + "\n");
  } else {
    console.out(status_text(status, scene));
  }
  return line.exit_code ? status_exit_code(status) : 0;
}

}  // namespace gnnflow
