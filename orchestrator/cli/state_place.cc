// Finding the state of a workflow.
#include "orchestrator/cli/state_place.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/base/text.h"
#include "orchestrator/steps/step_kinds.h"
#include "orchestrator/workflow/workflow.h"

namespace gnnflow {
namespace {

fs::path absolute_in(const Console& console, const fs::path& path) {
  return (path.is_absolute() ? path : console.folder / path).lexically_normal();
}

// Where state is kept unless --state says otherwise.
fs::path state_beside(const fs::path& file, const std::string& name) {
  return file.parent_path() / ".gnnflow" / name;
}

// Workflows in the folder whose state is there.
std::vector<StatePlace> with_state(const fs::path& folder) {
  std::vector<StatePlace> found;
  std::error_code failed;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, failed)) {
    std::string extension = entry.path().extension().string();
    if (extension != ".yml" && extension != ".yaml") continue;
    Result<std::string> name = read_workflow_name(entry.path());
    if (!name) continue;
    fs::path state = state_beside(entry.path(), *name);
    if (fs::exists(state / kDatabaseName, failed)) found.push_back({entry.path(), state});
  }
  std::sort(found.begin(), found.end(),
            [](const StatePlace& a, const StatePlace& b) { return a.file < b.file; });
  return found;
}

}  // namespace

StatePlace place_of_workflow(const CommandLine& line, const Console& console, const Workflow& workflow) {
  if (!line.state.empty()) return {workflow.file, absolute_in(console, line.state)};
  return {workflow.file, state_beside(workflow.file, workflow.name)};
}

std::string place_words(const CommandLine& line) {
  std::string words = line.file.empty() ? "" : " " + line.file.string();
  return line.state.empty() ? words : words + " --state " + line.state.string();
}

Result<fs::path> workflow_file(const StatePlace& place, StoreReader& reader) {
  if (!place.file.empty()) return place.file;
  TRY(StoreOwner owner, reader.owner());
  if (owner.file.empty()) {
    return Error{Cause::bad_usage,
                 fmt::format("{}: the state does not say of which workflow file it is; give FILE too",
                             place.folder.string())};
  }
  return owner.file;
}

Result<Workflow> load_as_last_run(const CommandLine& line, const StatePlace& place) {
  fs::path file = place.file;
  Json params;
  Result<StoreReader> reader = StoreReader::open(place.folder);
  if (reader) {
    TRY(file, workflow_file(place, *reader));
    if (Result<RunStatus> last = reader->status()) params = std::move(last->run.params);
  } else if (file.empty()) {
    return std::move(reader).error();
  }
  return load_workflow(file, {line.set, kind_schemas(), std::move(params)});
}

Result<StatePlace> find_state(const CommandLine& line, const Console& console) {
  if (!line.file.empty()) {
    fs::path file = absolute_in(console, line.file);
    if (!line.state.empty()) return StatePlace{file, absolute_in(console, line.state)};
    TRY(std::string name, read_workflow_name(file));
    return StatePlace{file, state_beside(file, name)};
  }
  if (!line.state.empty()) return StatePlace{{}, absolute_in(console, line.state)};
  std::vector<StatePlace> found = with_state(console.folder);
  if (found.size() == 1) return found[0];
  std::string command = line.command == "logs"    ? "logs FILE STEP"
                        : line.command == "hosts" ? "hosts list FILE"
                                                  : line.command + " FILE";
  if (found.empty()) {
    return Error{
        Cause::not_found,
        fmt::format("no workflow in {} has run yet; name one: `gnnflow {}`, or its state: `--state DIR`",
                    console.folder.string(), command)};
  }
  std::vector<std::string> names;
  for (const StatePlace& place : found) names.push_back(place.file.filename().string());
  return Error{Cause::not_found, fmt::format("several workflows here have run ({}); name one: `gnnflow {}`",
                                             join(names, ", "), command)};
}

}  // namespace gnnflow
