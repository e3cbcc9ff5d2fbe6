// Where this program and those beside it lie, also when a bundle's loader has started it.
#include <cerrno>
#include <cstdlib>

#include "common/base/child_process.h"

namespace gnnflow {
namespace {

constexpr const char* kSelf = "/proc/self/exe";

// The bundle that this process runs out of: then its executable is the loader. (The variable alone says
// little: programs of users inherit it.)
std::optional<fs::path> own_bundle() {
  const char* named = std::getenv("GNNFLOW_BUNDLE");
  std::error_code error;
  if (!named || !fs::equivalent(fs::path(named) / "lib" / kLoaderName, kSelf, error)) return std::nullopt;
  return named;
}

}  // namespace

#if defined(__aarch64__)
const std::string_view kLoaderName = "ld-linux-aarch64.so.1";
#else
const std::string_view kLoaderName = "ld-linux-x86-64.so.2";
#endif

fs::path own_program() {
  // The loader hands its own words over without those that were for itself.
  if (std::optional<fs::path> bundle = own_bundle())
    return *bundle / "bin" / fs::path(program_invocation_name).filename();
  std::error_code error;
  fs::path path = fs::read_symlink(kSelf, error);
  if (error) bug("/proc/self/exe cannot be read");
  return path;
}

fs::path program_beside(std::string_view name) { return own_program().parent_path() / name; }

std::vector<std::string> bundled_command(const fs::path& bundle, std::string_view program) {
  const fs::path libraries = bundle / "lib";
  return {(libraries / kLoaderName).string(), "--library-path", libraries.string(),
          (bundle / "bin" / program).string()};
}

std::vector<std::string> program_command(const fs::path& program) {
  std::optional<fs::path> bundle = own_bundle();
  if (!bundle || program.parent_path() != *bundle / "bin") return {program.string()};
  return bundled_command(*bundle, program.filename().native());
}

}  // namespace gnnflow
