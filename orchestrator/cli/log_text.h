// A log as it is shown: whole lines at the end, and a word instead of what was dropped from a log that grew
// too large.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace gnnflow {

class LogText {
 public:
  explicit LogText(std::function<void(std::string_view)> out) : out_(std::move(out)) {}
  void put(std::string_view bytes);
  void finish();
  bool any() const { return any_; }  // was there a log at all, be it empty

 private:
  void tell_dropped();
  std::function<void(std::string_view)> out_;
  bool any_ = false;
  char last_ = '\n';
  int64_t dropped_ = 0;  // bytes that read as zero: the host has freed them
};

}  // namespace gnnflow
