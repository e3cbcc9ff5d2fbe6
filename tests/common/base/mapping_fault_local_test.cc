// A mapped file that shrinks ends the program with 12 and its name; other faults stay what they are.
#include <csignal>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/file.h"
#include "tests/support/temp_dir.h"

namespace gnnflow {
namespace {

// Reads one byte in a way that the compiler keeps.
void touch(const std::byte* address) {
  [[maybe_unused]] std::byte read = *const_cast<const volatile std::byte*>(address);
}

// As without our handler: by the signal, or by the report of a sanitizer that handles it.
bool ends_as_ever(int status) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return WIFSIGNALED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 12);
#else
  return WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS);
#endif
}

class MappingFault : public testing::Test {
 protected:
  MappingFault() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(MappingFault, AShrunkFileIsNamedAndEndsWith12) {
  EXPECT_EXIT(
      {
        TempDir dir;
        install_mapping_fault_handler();
        fs::path file = dir.file("array.npy", std::string(100'000, 'x'));
        Result<Mapping> mapping = Mapping::open(file);
        if (::truncate(file.c_str(), 10) != 0) ::_exit(1);
        fs::remove_all(dir.path());
        touch(mapping->bytes().data() + 50'000);
      },
      testing::ExitedWithCode(12), "/array\\.npy: shrank or cannot be read\n$");
}

TEST_F(MappingFault, AFaultElsewhereStillKills) {
  EXPECT_EXIT(
      {
        install_mapping_fault_handler();
        void* page = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        touch(static_cast<const std::byte*>(page));
      },
      ends_as_ever, "");
}

TEST_F(MappingFault, ASentSignalStillKills) {
  EXPECT_EXIT(
      {
        install_mapping_fault_handler();
        ::kill(::getpid(), SIGBUS);
      },
      ends_as_ever, "");
}

TEST_F(MappingFault, AnUnmappedFileIsForgotten) {
  EXPECT_EXIT(
      {
        TempDir dir;
        install_mapping_fault_handler();
        const std::byte* data = nullptr;
        {
          Result<Mapping> mapping = Mapping::open(dir.file("array.npy", "x"));
          data = mapping->bytes().data();
        }
        // Nothing else may come to lie there.
        ::mmap(const_cast<std::byte*>(data), 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        fs::remove_all(dir.path());
        touch(data);
      },
      ends_as_ever, "");
}

TEST(Bug, EndsWith70AndSaysWhat) {
  EXPECT_EXIT(bug("a thing that cannot be"), testing::ExitedWithCode(70), "bug: a thing that cannot be");
}

}  // namespace
}  // namespace gnnflow
