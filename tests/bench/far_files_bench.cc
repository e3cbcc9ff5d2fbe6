// Files to and from gnnflow-receive over a socket pair, beside `cp` and an fsync of the same file on the same
// disk. usage: far_files_bench [MEBIBYTES]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/child_process.h"
#include "common/base/digest.h"
#include "orchestrator/remote/far_files.h"

namespace gnnflow {
namespace {

constexpr int kRounds = 3;

template <typename T>
T must(Result<T> result) {
  if (!result) bug(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// Words of small numbers shrink as indices do; random ones not at all, as features do.
void write_source(const fs::path& path, int64_t bytes, uint64_t largest) {
  std::mt19937_64 random(1);
  FileWriter file = must(FileWriter::create(path));
  std::vector<uint32_t> words(1 << 18);
  for (int64_t done = 0; done < bytes; done += static_cast<int64_t>(words.size() * 4)) {
    for (uint32_t& word : words) word = static_cast<uint32_t>(random() % largest);
    must(file.write(std::as_bytes(std::span(words))));
  }
  must(file.finish());
}

double seconds(const std::function<void()>& work) {
  const Monotonic start = system_clock().now();
  work();
  return std::chrono::duration<double>(system_clock().now() - start).count();
}

double best(const std::function<void()>& work) {
  double least = 1e9;
  for (int i = 0; i < kRounds; ++i) least = std::min(least, seconds(work));
  return least;
}

void copy_and_sync(const fs::path& from, const fs::path& to) {
  must(run_and_read({.argv = {"/bin/cp", from.string(), to.string()}}, Deadline::never()));
  FileDescriptor file(::open(to.c_str(), O_RDONLY | O_CLOEXEC));
  if (::fsync(file.get()) != 0) bug("fsync");
}

FarFiles start_receiver() {
  auto ends = must(make_socket_pair());
  const std::string program = program_beside("gnnflow-receive").string();
  if (::fork() == 0) {
    ::dup2(ends.second.get(), 0);
    ::dup2(ends.second.get(), 1);
    ::execl(program.c_str(), program.c_str(), nullptr);
    ::_exit(127);
  }
  char byte = 0;
  while (byte != '\n' && ::read(ends.first.get(), &byte, 1) == 1) {
  }
  return must(FarFiles::open(MessageLink(std::move(ends.first)), Deadline::after(Milliseconds(30'000))));
}

struct Speeds {
  double copy, put, get, packed;
};

Speeds measure(const fs::path& folder, int64_t bytes, uint64_t largest) {
  const fs::path source = folder / "source", copied = folder / "copied", root = folder / "root",
                 back = folder / "back";
  write_source(source, bytes, largest);
  const HostFile file{"source", static_cast<int64_t>(fs::file_size(source)), must(digest_of_file(source))};
  FarFiles far = start_receiver();
  StopSignal stop;
  const double copy = best([&] {
    fs::remove(copied);
    copy_and_sync(source, copied);
  });
  const double put = best([&] {
    fs::remove_all(root);
    must(far.put(folder, {file}, {root}, nullptr, stop));
  });
  const double get = best([&] {
    fs::remove_all(back);
    must(far.get({root}, {file}, back, nullptr, stop));
  });
  const double mebibytes = static_cast<double>(file.bytes) / (1 << 20);
  const double packed = static_cast<double>(far.bytes_on_the_way()) / static_cast<double>(far.bytes_sent());
  fs::remove(source);
  return {mebibytes / copy, mebibytes / put, mebibytes / get, packed};
}

void print(const char* name, const Speeds& speeds) {
  std::printf(
      "\"%s\":{\"cp_mib_s\":%.0f,\"put_mib_s\":%.0f,\"get_mib_s\":%.0f,\"put_over_cp\":%.2f,\"get_over_cp\":%"
      ".2f,"
      "\"share_on_the_way\":%.2f}",
      name, speeds.copy, speeds.put, speeds.get, speeds.put / speeds.copy, speeds.get / speeds.copy,
      speeds.packed);
}

int run(int64_t mebibytes) {
  const char* base = std::getenv("TMPDIR");
  const fs::path folder =
      must(make_temporary_folder(fs::path(base && *base ? base : "/tmp") / "far-files-bench"));
  const Speeds noise = measure(folder, mebibytes << 20, uint64_t{1} << 32),
               indices = measure(folder, mebibytes << 20, 250'000);
  must(remove_tree(folder));
  std::printf("{");
  print("random", noise);
  std::printf(",");
  print("indices", indices);
  std::printf("}\n");
  while (::waitpid(-1, nullptr, 0) > 0) {
  }
  return 0;
}

}  // namespace
}  // namespace gnnflow

int main(int count, char** words) { return gnnflow::run(count > 1 ? std::atoll(words[1]) : 512); }
