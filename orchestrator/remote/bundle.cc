// What programs load is asked of the loader, in the words of ldd.
#include "orchestrator/remote/bundle.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <map>
#include <set>

#include <elf.h>
#include <fmt/format.h>
#include <sys/utsname.h>

#include "common/base/child_process.h"
#include "common/base/digest.h"
#include "common/base/text.h"
#include "common/wire/message_of.h"

namespace gnnflow {
namespace {

constexpr Milliseconds kLoaderWait{60'000};
constexpr int64_t kMostProgram = int64_t{4} << 30;
constexpr std::string_view kBundles = "bundles";
// Opened by name while a program runs (worker/trainer/ops/products.cc); a build that links it does not open
// it.
constexpr std::array<std::string_view, 2> kOpenedLater = {"libdnnl.so.3", "libdnnl.so.2"};
constexpr std::string_view kOpensLibraries = "gnnflow-trainer";
// pidfd_open, with which a daemon waits for its jobs.
constexpr std::pair kOldestKernel = {5, 3};

Error not_a_program(const fs::path& path) {
  return {Cause::bad_data, path.string() + ": not a program with a loader, as this machine makes them"};
}

// The path in PT_INTERP.
Result<fs::path> loader_of(const fs::path& program) {
  TRY(std::string bytes, read_file(program, kMostProgram));
  Elf64_Ehdr head;
  if (bytes.size() < sizeof head || !bytes.starts_with(std::string_view(ELFMAG, SELFMAG)))
    return not_a_program(program);
  std::memcpy(&head, bytes.data(), sizeof head);
  for (size_t i = 0; i < head.e_phnum; ++i) {
    Elf64_Phdr row;
    const size_t at = head.e_phoff + i * sizeof row;
    if (head.e_phentsize != sizeof row || at > bytes.size() || bytes.size() - at < sizeof row)
      return not_a_program(program);
    std::memcpy(&row, bytes.data() + at, sizeof row);
    if (row.p_type != PT_INTERP) continue;
    if (row.p_offset > bytes.size() || bytes.size() - row.p_offset < row.p_filesz)
      return not_a_program(program);
    std::string path = bytes.substr(row.p_offset, row.p_filesz);
    return fs::path(path.substr(0, path.find('\0')));
  }
  return not_a_program(program);
}

// Lines of ldd: "libz.so.1 => /lib/libz.so.1 (0x…)", "libz.so.1 => not found", "/lib64/ld-linux… (0x…)",
// "linux-vdso.so.1 (0x…)".
Status add_libraries(const fs::path& program, std::string_view said,
                     std::map<std::string, fs::path>& libraries) {
  for (const std::string& line : split(said, '\n')) {
    const size_t arrow = line.find(" => ");
    if (arrow == std::string::npos) continue;
    const std::string name(trimmed(std::string_view(line).substr(0, arrow)));
    const fs::path path =
        std::string(trimmed(std::string_view(line).substr(arrow + 4, line.rfind(" (") - arrow - 4)));
    if (!path.is_absolute()) {
      return Error{Cause::not_found, fmt::format("{}: the library {} that it needs is not on this machine",
                                                 program.string(), name)};
    }
    if (name.find('/') != std::string::npos) continue;  // the loader
    auto [known, fresh] = libraries.emplace(name, path);
    if (!fresh && known->second != path) {
      return Error{Cause::unfit,
                   fmt::format("{} is {} for one program and {} for {}: they cannot be bundled together",
                               name, known->second.string(), path.string(), program.string())};
    }
  }
  return {};
}

Status ask_loader(const fs::path& loader, const fs::path& program,
                  std::map<std::string, fs::path>& libraries) {
  // (Its own --list ends at the first library that is missing.)
  ChildOptions options{.argv = {loader.string(), program.string()},
                       .environment = {{"LD_TRACE_LOADED_OBJECTS", "1"}}};
  TRY(std::string said, run_and_read(options, Deadline::after(kLoaderWait)));
  TRY(add_libraries(program, said, libraries));
  if (program.filename() != kOpensLibraries) return {};
  const bool links_it = std::any_of(libraries.begin(), libraries.end(),
                                    [](const auto& row) { return row.first.starts_with("libdnnl."); });
  if (links_it) return {};
  for (std::string_view name : kOpenedLater) {
    // What it needs itself comes along. Where it is not installed the program does without.
    options.environment["LD_PRELOAD"] = name;
    TRY(said, run_and_read(options, Deadline::after(kLoaderWait)));
    const size_t before = libraries.size();
    TRY(add_libraries(program, said, libraries));
    if (libraries.size() > before) break;
  }
  return {};
}

Result<BundleFile> describe(std::string name, const fs::path& source) {
  std::error_code error;
  const fs::path real = fs::canonical(source, error);
  if (error) return system_error("reading " + source.string(), error.value());
  const auto bytes = static_cast<int64_t>(fs::file_size(real, error));
  if (error) return system_error("reading " + real.string(), error.value());
  TRY(std::string digest, digest_of_file(real));
  return BundleFile{std::move(name), real, bytes, std::move(digest)};
}

std::string digest_of_bundle(const Bundle& bundle) {
  Digester digester;
  digester.add_field("gnnflow.bundle.1");
  digester.add_field(bundle.machine);
  for (const BundleFile& file : bundle.files) {
    digester.add_field(file.name);
    digester.add_field(file.digest);
  }
  return digester.text();
}

std::pair<int, int> version_of(const std::string& kernel) {
  std::pair<int, int> version{0, 0};
  const char* end = kernel.data() + kernel.size();
  auto [after, failed] = std::from_chars(kernel.data(), end, version.first);
  if (failed == std::errc() && after != end) std::from_chars(after + 1, end, version.second);
  return version;
}

Message request_for(const Bundle& bundle, const fs::path& root) {
  Json::Array rows;
  for (const BundleFile& file : bundle.files) {
    Json row;
    row["path"] = file.name;
    row["bytes"] = file.bytes;
    row["digest"] = file.digest;
    rows.push_back(std::move(row));
  }
  return message_of("bundle",
                    {{"root", root.string()}, {"digest", bundle.digest}, {"files", std::move(rows)}});
}

}  // namespace

int64_t Bundle::bytes() const {
  int64_t sum = 0;
  for (const BundleFile& file : files) sum += file.bytes;
  return sum;
}

Result<Bundle> make_bundle(const std::vector<fs::path>& programs) {
  Bundle bundle;
  utsname system{};
  ::uname(&system);
  bundle.machine = system.machine;
  std::map<std::string, fs::path> sources;
  for (const fs::path& program : programs) {
    TRY(fs::path loader, loader_of(program));
    std::map<std::string, fs::path> libraries;
    TRY(ask_loader(loader, program, libraries));
    libraries[std::string(kLoaderName)] = loader;
    sources["bin/" + program.filename().string()] = program;
    for (const auto& [name, path] : libraries) sources.emplace("lib/" + name, path);
  }
  for (const auto& [name, path] : sources) {
    TRY(BundleFile file, describe(name, path));
    bundle.files.push_back(std::move(file));
  }
  bundle.digest = digest_of_bundle(bundle);
  return bundle;
}

Status check_fits(const Bundle& bundle, const FarGreeting& machine) {
  if (machine.machine != bundle.machine) {
    return Error{Cause::unfit, fmt::format("it is a machine of kind {}, and our programs are made for {}",
                                           machine.machine, bundle.machine)};
  }
  if (version_of(machine.kernel) < kOldestKernel) {
    return Error{Cause::unfit, fmt::format("its kernel {} is too old: our programs need {}.{} or newer",
                                           machine.kernel, kOldestKernel.first, kOldestKernel.second)};
  }
  return {};
}

Result<PreparedBundle> prepare_bundle(FarFiles& far, const Bundle& bundle, const fs::path& workspace,
                                      const TransferProgress& progress, const StopSignal& stop) {
  const fs::path root = workspace / kBundles;
  PreparedBundle prepared{.folder = root / bundle.digest};
  Message request = request_for(bundle, root);
  // Who comes after it was raised has to clean up there, with programs that are there.
  const StopSignal* ear = stop.raised() ? nullptr : &stop;
  TRY(Message looked, far.ask(request, ear));
  std::set<std::string> missing;
  if (looked.head.get("missing").is_array()) {
    for (const Json& digest : looked.head.get("missing").array()) {
      if (digest.is_string()) missing.insert(digest.string());
    }
  }
  std::vector<FilePair> files;
  for (const BundleFile& file : bundle.files) {
    if (missing.erase(file.digest) == 0) continue;  // there, or once in the list
    files.push_back({file.source, {file.digest, file.bytes, file.digest}});
    ++prepared.files_sent;
    prepared.bytes_sent += file.bytes;
  }
  if (!files.empty()) TRY(far.put(files, {root, "files"}, progress, stop));
  request.head["make"] = true;
  TRY(far.ask(request, ear));
  return prepared;
}

std::vector<std::string> bundle_command(const fs::path& folder, std::string_view program) {
  std::vector<std::string> words = {"env", "GNNFLOW_BUNDLE=" + folder.string()};
  for (std::string& word : bundled_command(folder, program)) words.push_back(std::move(word));
  return words;
}

}  // namespace gnnflow
