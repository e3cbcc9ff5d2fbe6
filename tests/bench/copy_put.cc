// Brings a file to a host over ssh as the step `copy` does, and prints how long it took: for copy_bench.py.
#include <cstdio>
#include <string>

#include "common/base/digest.h"
#include "orchestrator/remote/ssh_host.h"

namespace gnnflow {
namespace {

Result<Milliseconds> put(const SshHostOptions& options, const fs::path& file) {
  TRY(const std::string digest, digest_of_file(file));
  std::error_code failed;
  const HostFile wanted{file.filename(), static_cast<int64_t>(fs::file_size(file, failed)), digest};
  const StopSignal stop;
  const auto began = std::chrono::steady_clock::now();
  SshHost host(options);
  TRY(host.put(
      file.parent_path(), {wanted}, "data", [](int64_t) {}, stop));
  return std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - began);
}

}  // namespace
}  // namespace gnnflow

int main(int count, char** words) {
  if (count != 9) {
    std::fprintf(stderr, "usage: copy_put ADDRESS PORT USER IDENTITY KNOWN_HOSTS WORKSPACE STORE_ID FILE\n");
    return 2;
  }
  gnnflow::SshHostOptions options;
  options.target = {"bench", words[1], words[3], std::stoi(words[2]), words[4], words[5]};
  options.workspace = words[6];
  options.store_id = words[7];
  options.programs = gnnflow::fs::read_symlink("/proc/self/exe").parent_path();
  const auto took = gnnflow::put(options, words[8]);
  if (!took) {
    std::fprintf(stderr, "copy_put: %s\n", took.error().message.c_str());
    return 1;
  }
  std::printf("%.3f\n", static_cast<double>(took->count()) / 1000);
  return 0;
}
