// generate, import and partition by hand: progress on stderr where it is a terminal, the result on stdout.
#include <cstdio>

#include <fmt/format.h>
#include <unistd.h>

#include "common/base/child_process.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "worker/tools/make_graphs.h"
#include "worker/tools/printing.h"
#include "worker/tools/tools.h"

namespace gnnflow {
namespace {

void show_progress(const Progress& progress) {
  if (isatty(STDERR_FILENO) == 0) return;
  std::string text = progress.phase;
  if (progress.total > 0) {
    text += fmt::format(": {} of {} {}", format_count(progress.done), format_count(progress.total),
                        progress.unit);
  }
  fmt::print(stderr, "\r\033[K{}", text);
}

int make(Result<Json> (*making)(const MakeRequest&), MakeRequest request, Output output) {
  request.threads = usable_cores();
  request.progress = show_progress;
  const Monotonic start = system_clock().now();
  auto made = making(request);
  if (isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\r\033[K");
  if (!made) {
    Error error = std::move(made).error();
    // By hand the options are the command line, not a workflow.
    if (error.cause == Cause::bad_workflow) error.cause = Cause::bad_usage;
    return print_failure(error);
  }
  const auto length = std::chrono::duration_cast<Milliseconds>(system_clock().now() - start);
  if (output == Output::json) {
    (*made)["seconds"] = static_cast<double>(length.count()) / 1000;
    print_json(*made);
  } else {
    print_text(made_text(*made) +
               fmt::format("written to {} in {}\n", request.target.string(), format_duration(length)));
  }
  return 0;
}

}  // namespace

int run_generate(const Json& options, const fs::path& target, Output output) {
  return make(make_generated,
              {.options = options, .input = {}, .target = target, .threads = 1, .progress = {}}, output);
}

int run_import(const Json& options, const fs::path& source, const fs::path& target, Output output) {
  return make(make_imported,
              {.options = options, .input = source, .target = target, .threads = 1, .progress = {}}, output);
}

int run_partition(const Json& options, const fs::path& graph, const fs::path& target, Output output) {
  return make(make_partition,
              {.options = options, .input = graph, .target = target, .threads = 1, .progress = {}}, output);
}

}  // namespace gnnflow
