// Two commands: one that looks, one that brings. Both are words between single quotes that every login shell
// hands on to /bin/sh as they are.
#include "orchestrator/remote/bootstrap.h"

#include <algorithm>

#include <fmt/format.h>
#include <sys/utsname.h>

#include "common/base/digest.h"
#include "common/base/text.h"

namespace gnnflow {
namespace {

constexpr std::string_view kProbe = "gnnflow-probe", kSent = "gnnflow-sent";
constexpr int64_t kMostReceiver = 64 << 20;
constexpr size_t kShown = 300;

std::string in_sh(const std::string& script) { return "/bin/sh -c '" + script + "'"; }

// The folder as /bin/sh there is to read it: between double quotes, $HOME not expanded yet.
Result<std::string> for_sh(const std::string& workspace) {
  std::string rest = workspace;
  if (rest == "~") rest.clear();
  if (rest.starts_with("~/")) rest = rest.substr(2);
  if (!is_plain_for_shells(rest)) {
    return Error{
        Cause::bad_workflow,
        fmt::format(
            "workspace '{}': on another machine only letters, digits and _ . / + , : @ % = - may stand "
            "in its path",
            workspace)};
  }
  return rest.starts_with('/') ? rest : "$HOME/" + rest;
}

// The lines behind the marker: what login shells print stands before it.
std::vector<std::string> answer_lines(const FarRun& run, std::string_view marker) {
  const size_t at = run.out.rfind(std::string(marker) + "\n");
  if (at == std::string::npos) return {};
  return split(trimmed(std::string_view(run.out).substr(at + marker.size())), '\n');
}

std::string this_machine() {
  utsname name{};
  ::uname(&name);
  return name.machine;
}

Error no_shell(const FarRun& run) {
  std::string why = one_line(run.errors, kShown);
  if (why.empty()) why = one_line(run.out, kShown);
  return {Cause::unreachable,
          fmt::format("commands cannot be run there{}{}; a host needs a login shell, /bin/sh and coreutils",
                      run.status >= 0 ? fmt::format(" (exit code {})", run.status) : "",
                      why.empty() ? "" : ": " + why)};
}

Error not_sent(const FarRun& run, const fs::path& folder) {
  const bool full = run.errors.find("No space left on device") != std::string::npos ||
                    run.errors.find("Disk quota exceeded") != std::string::npos;
  const std::string why = run.errors.empty() ? "it arrived damaged" : one_line(run.errors, kShown);
  return {full ? Cause::no_resources : Cause::unreachable,
          fmt::format("gnnflow-receive could not be brought to {}: {}", folder.string(), why)};
}

Status send_receiver(SshSession& session, const fs::path& folder, const std::string& content,
                     Deadline deadline, const StopSignal* stop) {
  const std::string sum = sha256_of(std::as_bytes(std::span(content)));
  const std::string part = fmt::format("{}/gnnflow-receive.{}.part", folder.string(), random_hex(6));
  // A cut connection ends `cat` early: only the sum lets the file have its name.
  const std::string script = fmt::format(
      "LC_ALL=C; export LC_ALL; mkdir -p {0} && cat > {1} && test \"$(sha256sum < {1})\" = \"{2}  -\" && "
      "chmod 755 {1} && "
      "mv {1} {0}/gnnflow-receive && echo {3} || {{ rm -f {1}; exit 1; }}",
      folder.string(), part, sum, kSent);
  TRY(FarRun run, session.run(in_sh(script), content, deadline, stop));
  if (run.out.find(kSent) == std::string::npos) return not_sent(run, folder);
  return {};
}

}  // namespace

bool is_plain_for_shells(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char letter) {
    const bool alphanumeric = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
                              (letter >= '0' && letter <= '9');
    return alphanumeric || std::string_view("_./+,:@%=-").find(letter) != std::string_view::npos;
  });
}

Result<FarPlace> bring_receiver(SshSession& session, const std::string& workspace, const fs::path& receive,
                                Deadline deadline, const StopSignal* stop) {
  TRY(std::string base, for_sh(workspace).within(session.place()));
  TRY(std::string content, read_file(receive, kMostReceiver));
  const std::string sum = sha256_of(std::as_bytes(std::span(content)));
  const std::string relative = "/bundles/receive/" + sum;
  const std::string script = fmt::format(
      "echo {0}; echo \"$HOME\"; uname -m; "
      "sha256sum < \"{1}{2}/gnnflow-receive\" 2>/dev/null || echo absent",
      kProbe, base, relative);
  TRY(FarRun run, session.run(in_sh(script), "", deadline, stop));
  const std::vector<std::string> lines = answer_lines(run, kProbe);
  if (lines.size() < 3) return no_shell(run).within(session.place());
  FarPlace place;
  place.home = lines[0];
  place.workspace = base.starts_with('/') ? base : lines[0] + base.substr(std::string_view("$HOME").size());
  if (lines[1] != this_machine()) {
    return Error{Cause::unfit,
                 fmt::format("{}: it is a machine of another kind ({}); our programs are built for {}",
                             session.place(), lines[1], this_machine())};
  }
  if (!place.home.is_absolute() || !is_plain_for_shells(place.workspace.native())) {
    return Error{Cause::unreachable,
                 fmt::format("{}: the workspace there, '{}', has letters that shells read differently; "
                             "give the host a `workspace:` without them",
                             session.place(), place.workspace.string())};
  }
  const fs::path folder = place.workspace.string() + relative;
  place.receive = (folder / "gnnflow-receive").string();
  if (lines[2] != sum + "  -") {
    TRY(send_receiver(session, folder, content, deadline, stop).within(session.place()));
    place.bytes_sent = static_cast<int64_t>(content.size());
  }
  return place;
}

}  // namespace gnnflow
