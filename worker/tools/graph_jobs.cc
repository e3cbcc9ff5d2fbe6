// generate, import and partition as jobs: what to do stands in task.json, the result goes to out/<name>
// beside it.
#include <fmt/format.h>

#include "common/wire/job_channel.h"
#include "worker/tools/make_graphs.h"
#include "worker/tools/tools.h"

namespace gnnflow {
namespace {

struct JobKind {
  std::string_view kind;
  Result<Json> (*make)(const MakeRequest&);
  std::string_view input;   // its name among the task's inputs
  std::string_view output;  // its name below out/
};

constexpr JobKind kKinds[] = {{"generate", make_generated, "", "graph"},
                              {"import", make_imported, "source", "graph"},
                              {"partition", make_partition, "graph", "partition"}};

// The step's options without those that name inputs: they came as paths.
Json own_options(const Json& options, std::string_view input) {
  if (!options.is_object()) return Json::Object{};
  Json::Object own = options.object();
  for (const std::string_view name : {input, std::string_view("host")}) {
    if (const auto found = own.find(name); found != own.end()) own.erase(found);
  }
  return own;
}

Result<Json> run(const JobKind& kind, const Task& task, JobChannel& channel) {
  if (task.kind != kind.kind) {
    return Error{Cause::bad_usage, fmt::format("the task is of kind '{}', not '{}'", task.kind, kind.kind)};
  }
  MakeRequest request;
  request.options = own_options(task.spec.get("options"), kind.input);
  if (!kind.input.empty()) {
    request.input = task.spec.get("inputs").text_or(kind.input, "");
    if (request.input.empty()) {
      return Error{Cause::bad_workflow, fmt::format("the task has no input '{}'", kind.input)};
    }
  }
  TRY(create_folders(task.folder / "out"));
  request.target = task.folder / "out" / kind.output;
  request.threads = static_cast<int>(task.spec.integer_or("threads", 1));
  request.progress = [&](const Progress& progress) { channel.progress(progress); };
  return kind.make(request);
}

}  // namespace

int run_graph_job(const std::string& name, const fs::path& file) {
  const auto channel = JobChannel::open();
  for (const JobKind& kind : kKinds) {
    if (kind.kind != name) continue;
    const auto task = Task::read(file);
    if (!task) return report_failure(*channel, task.error());
    auto made = run(kind, *task, *channel);
    if (!made) return report_failure(*channel, made.error());
    channel->result(std::move(*made));
    return 0;
  }
  bug(fmt::format("'{}' is no kind of graph job", name));
}

}  // namespace gnnflow
