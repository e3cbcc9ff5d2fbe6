// What an exec task does before and after its program.
#include "worker/daemon/exec_task.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/incoming.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "worker/daemon/gone.h"
#include "worker/daemon/program.h"

namespace gnnflow {
namespace {

Error bad_spec(std::string message) { return {Cause::bad_data, "task.json: " + std::move(message)}; }

// What links lead to is copied. The stop is heard between files.
Status copy_tree(const fs::path& from, const fs::path& to, const StopSignal& stop) {
  if (stop.raised()) return Error{stop.cause(), "stopped while copying"};
  std::error_code error;
  const auto failed = [&] {
    return system_error(fmt::format("copying {} to {}", from.string(), to.string()), error.value());
  };
  if (!fs::is_directory(from, error)) {
    fs::copy_file(from, to, fs::copy_options::overwrite_existing, error);
    return error ? Status(failed()) : Status();
  }
  fs::create_directory(to, from, error);  // with its permissions
  if (error) return failed();
  for (fs::directory_iterator entry(from, error), end; !error && entry != end; entry.increment(error)) {
    TRY(copy_tree(entry->path(), to / entry->path().filename(), stop));
  }
  return error ? Status(failed()) : Status();
}

// The way out for a program that did not do well: its own code or signal, with a report that says whose it
// is.
int end_like(std::unique_ptr<JobChannel> channel, const ExitState& state, const Error& failure) {
  report_failure(*channel, failure);
  channel.reset();
  if (state.signal == 0) return state.code;
  rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::signal(state.signal, SIG_DFL);
  ::kill(::getpid(), state.signal);
  return 128 + state.signal;  // a signal that does not end a process by default
}

}  // namespace

Result<ExecSpec> ExecSpec::read(const Json& json) {
  ExecSpec spec;
  if (!json.get("command").is_array() || json.get("command").array().empty()) {
    return bad_spec("'command' is no list of a program and its arguments");
  }
  for (const Json& word : json.get("command").array()) {
    if (!word.is_string()) return bad_spec("'command' holds something else than text");
    spec.command.push_back(word.string());
  }
  if (json.get("stage").is_array()) {
    for (const Json& row : json.get("stage").array()) {
      Stage stage{row.text_or("from", ""), row.text_or("to", "")};
      if (!stage.from.is_absolute())
        return bad_spec(fmt::format("stage: '{}' is not absolute", stage.from.string()));
      if (!is_inside(stage.to))
        return bad_spec(fmt::format("stage: '{}' is not inside files/", stage.to.string()));
      spec.stages.push_back(std::move(stage));
    }
  }
  if (json.get("environment").is_object()) {
    for (const auto& [name, value] : json.get("environment").object()) {
      if (name.empty() || name.find('=') != std::string::npos || !value.is_string()) {
        return bad_spec(fmt::format("environment: '{}' is no variable with a text", name));
      }
      spec.environment[name] = value.string();
    }
  }
  if (json.get("outputs").is_object()) {
    for (const auto& [name, path] : json.get("outputs").object()) {
      if (!is_name(name) || !path.is_string() || !is_inside(path.string())) {
        return bad_spec(fmt::format("outputs: '{}' is no name with a path inside files/", name));
      }
      spec.outputs[name] = path.string();
    }
  }
  return spec;
}

Status stage_files(const ExecSpec& spec, const fs::path& files, const StopSignal& stop) {
  TRY(create_folders(files));
  for (const ExecSpec::Stage& stage : spec.stages) {
    const std::string name = fmt::format("input '{}'", stage.to.string());
    TRY(create_folders((files / stage.to).parent_path()).within(name));
    TRY(copy_tree(stage.from, files / stage.to, stop).within(name));
  }
  return {};
}

Status collect_outputs(const ExecSpec& spec, const fs::path& files, const fs::path& out,
                       std::string_view program) {
  for (const auto& [name, path] : spec.outputs) {
    const Result<fs::path> made = path_below(files.parent_path(), files.filename() / path);
    if (!made) return Error{Cause::failed, fmt::format("output '{}': {}", name, made.error().message)};
    std::error_code error;
    fs::file_type type = fs::symlink_status(*made, error).type();
    if (type != fs::file_type::regular && type != fs::file_type::directory) {
      return Error{Cause::failed, fmt::format("output '{}': {} {}", name, path.string(),
                                              type == fs::file_type::not_found
                                                  ? fmt::format("was not made by {}", program)
                                                  : std::string("is neither a file nor a folder"))};
    }
    TRY(remove_tree(out / name));
    TRY(create_folders(out / name));
    fs::path target = out / name / path.filename();
    fs::rename(*made, target, error);
    if (error) return system_error(fmt::format("moving output '{}'", name), error.value());
  }
  return {};
}

int run_exec_task(const Task& task) {
  // Whoever cleans up after a lost daemon would do it too; doing it here leaves nothing for it to find.
  std::unique_ptr<JobChannel> channel = JobChannel::open([token = task.token] { kill_carriers(token); });
  stop_on_signals(channel->stop());
  Result<ExecSpec> spec = ExecSpec::read(task.spec);
  if (!spec) return report_failure(*channel, spec.error());
  fs::path files = task.folder / "files";
  if (Status staged = stage_files(*spec, files, channel->stop()); !staged)
    return report_failure(*channel, staged.error());
  Result<ExitState> state =
      run_program({spec->command, spec->environment, files, task.token}, channel->stop());
  if (!state) return report_failure(*channel, state.error());
  const std::string& program = spec->command[0];
  if (!state->good()) {
    Cause cause = channel->stop().raised() ? channel->stop().cause() : Cause::failed;
    std::string how = state->signal ? fmt::format("was killed by signal {}", state->signal)
                                    : fmt::format("ended with exit code {}", state->code);
    return end_like(std::move(channel), *state, {cause, fmt::format("{} {}", program, how)});
  }
  if (Status found = collect_outputs(*spec, files, task.folder / "out", program); !found) {
    return report_failure(*channel, found.error());
  }
  return 0;
}

}  // namespace gnnflow
