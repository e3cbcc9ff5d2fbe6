// XXH3-128 for content (fast), SHA-256 for what travels between machines.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "common/base/file.h"
#include "common/base/result.h"
#include "common/base/stop_signal.h"

namespace gnnflow {

// 32 hexadecimal digits.
class Digester {
 public:
  Digester();
  Digester(Digester&&) noexcept;
  Digester& operator=(Digester&&) noexcept;
  ~Digester();
  void add(std::span<const std::byte> bytes);
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  // Length first, so that ("ab","c") and ("a","bc") differ.
  void add_field(std::string_view text);
  std::string text() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

bool is_digest(std::string_view text);  // as Digester::text() gives it
std::string digest_of(std::span<const std::byte> bytes);
std::string digest_of(std::string_view text);
// Ends early, as an error of its cause, once `stop` is raised.
Result<std::string> digest_of_file(const fs::path& path, const StopSignal* stop = nullptr);
std::string sha256_of(std::span<const std::byte> bytes);

}  // namespace gnnflow
