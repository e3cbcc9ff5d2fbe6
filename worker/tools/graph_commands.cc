// generate, import and partition by hand: progress on stderr where it is a terminal, the result on stdout.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include "common/base/child_process.h"
#include "common/base/clock.h"
#include "common/base/stop_signal.h"
#include "common/base/text.h"
#include "common/graph/new_folder.h"
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

void clear_progress() {
  if (isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\r\033[K");
}

// A folder for what is half made, which goes when a signal ends the program. What makes it may be deep in
// METIS and hear nothing, so a thread of its own ends it.
class Workshop {
 public:
  Workshop() {
    stop_on_signals(stop_);
    thread_ = std::jthread([this] { wait(); });
  }
  ~Workshop() {
    done_.raise();
    thread_.join();
  }
  Result<fs::path> open(const fs::path& target) {
    std::lock_guard lock(mutex_);
    TRY(folder_, NewFolder::create(target));
    return folder_.path();
  }
  // Once stopped, this does not return.
  void check() const {
    while (stop_.raised()) ::pause();
  }

 private:
  void wait() {
    std::array<pollfd, 2> waits{{{stop_.descriptor(), POLLIN, 0}, {done_.descriptor(), POLLIN, 0}}};
    while (!stop_.raised() && !done_.raised()) ::poll(waits.data(), waits.size(), -1);
    if (!stop_.raised()) return;
    std::lock_guard lock(mutex_);
    clear_progress();
    if (!folder_.path().empty()) remove();
    std::_Exit(exit_code(stop_.cause()));
  }

  // Others still write into it: in a place that they do not know they can add nothing.
  void remove() const {
    const fs::path aside = folder_.path().string() + ".stopped";
    std::error_code error;
    fs::rename(folder_.path(), aside, error);
    if (Status removed = remove_tree(error ? folder_.path() : aside); !removed)
      (void)print_failure(removed.error());
  }

  StopSignal stop_, done_;
  std::mutex mutex_;
  NewFolder folder_;  // guarded by mutex_
  std::jthread thread_;
};

Result<Json> make_whole(Result<Json> (*making)(const MakeRequest&), MakeRequest request) {
  const fs::path named = fs::absolute(request.target).lexically_normal();
  const fs::path target = named.has_filename() ? named : named.parent_path();
  Workshop workshop;
  TRY(const fs::path folder, workshop.open(request.target));
  request.target = folder / "made";
  auto made = making(request);
  workshop.check();
  if (made) TRY(rename_durably(request.target, target));
  return made;
}

int make(Result<Json> (*making)(const MakeRequest&), MakeRequest request, Output output) {
  request.threads = usable_cores();
  request.progress = show_progress;
  const Monotonic start = system_clock().now();
  auto made = make_whole(making, request);
  clear_progress();
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
