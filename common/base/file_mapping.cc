// Mapped files, and the handler that turns a fault inside one into a message and exit code 12.
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/file_effects.h"

namespace gnnflow {
namespace {

// The handler may only read plain memory: a fixed table, whose rows are taken and given back without a lock.
// `begin` is 0 for a free row, kFilling while it is written, else the first address.
constexpr size_t kSlots = 4096;
constexpr size_t kPathBytes = 512;
constexpr uintptr_t kFilling = 1;

struct Slot {
  std::atomic<uintptr_t> begin;
  std::atomic<uintptr_t> end;
  std::array<char, kPathBytes> path;
};
std::array<Slot, kSlots> g_slots;
struct sigaction g_old_bus, g_old_segv;

bool remember(const void* data, size_t size, const fs::path& path) {
  auto begin = reinterpret_cast<uintptr_t>(data);
  for (Slot& slot : g_slots) {
    uintptr_t free = 0;
    if (!slot.begin.compare_exchange_strong(free, kFilling)) continue;
    // The end of a long path says more than its beginning.
    std::string_view text = path.native();
    if (text.size() >= kPathBytes) text.remove_prefix(text.size() - kPathBytes + 1);
    std::memcpy(slot.path.data(), text.data(), text.size());
    slot.path[text.size()] = '\0';
    slot.end.store(begin + size);
    slot.begin.store(begin, std::memory_order_release);
    return true;
  }
  return false;
}

void forget(const void* data) {
  auto begin = reinterpret_cast<uintptr_t>(data);
  for (Slot& slot : g_slots) {
    if (slot.begin.load(std::memory_order_relaxed) == begin) {
      slot.begin.store(0);
      return;
    }
  }
}

const Slot* slot_of(const void* address) {
  auto at = reinterpret_cast<uintptr_t>(address);
  for (const Slot& slot : g_slots) {
    uintptr_t begin = slot.begin.load(std::memory_order_acquire);
    if (begin > kFilling && at >= begin && at < slot.end.load()) return &slot;
  }
  return nullptr;
}

// Runs in the signal handler: nothing here may allocate or lock.
void on_fault(int number, siginfo_t* info, void*) {
  bool sent = info->si_code <= 0;  // by kill(2), with no address
  if (!sent) {
    if (const Slot* slot = slot_of(info->si_addr)) {
      constexpr std::string_view kText = ": shrank or cannot be read\n";
      std::array<char, kPathBytes + 32> line;
      size_t length = std::strlen(slot->path.data());
      std::memcpy(line.data(), slot->path.data(), length);
      std::memcpy(line.data() + length, kText.data(), kText.size());
      [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, line.data(), length + kText.size());
      ::_exit(exit_code(Cause::bad_data));
    }
  }
  // As if we were not here: the faulting instruction runs again, under the former action.
  ::sigaction(number, number == SIGBUS ? &g_old_bus : &g_old_segv, nullptr);
  if (sent) ::raise(number);
}

}  // namespace

Result<Mapping> Mapping::open(const fs::path& path) {
  TRY(FileDescriptor file, open_file(path, O_RDONLY));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return system_error("reading " + path.string(), errno);
  if (!S_ISREG(info.st_mode)) return Error{Cause::bad_data, path.string() + ": not a regular file"};
  Mapping mapping;
  mapping.size_ = static_cast<size_t>(info.st_size);
  if (mapping.size_ == 0) return mapping;
  void* data = ::mmap(nullptr, mapping.size_, PROT_READ, MAP_SHARED, file.get(), 0);
  if (data == MAP_FAILED) return system_error("mapping " + path.string(), errno);
  mapping.data_ = static_cast<const std::byte*>(data);
  if (!remember(data, mapping.size_, path)) {
    return Error{Cause::no_resources, fmt::format("{}: over {} files are mapped", path.string(), kSlots)};
  }
  return mapping;
}

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Mapping::~Mapping() {
  if (!data_) return;
  forget(data_);
  ::munmap(const_cast<std::byte*>(data_), size_);
}

void install_mapping_fault_handler() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    if (::sigaction(SIGBUS, &action, &g_old_bus) != 0 || ::sigaction(SIGSEGV, &action, &g_old_segv) != 0) {
      bug("sigaction failed");
    }
  });
}

}  // namespace gnnflow
