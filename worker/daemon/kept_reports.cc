// Which reports are kept, and how many of each.
#include "worker/daemon/kept_reports.h"

#include <algorithm>
#include <array>

namespace gnnflow {
namespace {

constexpr std::array<std::string_view, 4> kLast = {"ready", "allowed", "result", "progress"};
constexpr std::array<std::string_view, 4> kAll = {"store_set", "checkpoint", "metrics", "store_get"};
constexpr size_t kMostReports = 100'000;
constexpr size_t kMostBodyBytes = 128u << 20;

template <size_t n>
bool contains(const std::array<std::string_view, n>& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

}  // namespace

bool KeptReports::keep(const Message& report) {
  std::string type = report.type();
  if (contains(kLast, type)) {
    auto same = [&](const Message& old) { return old.type() == type; };
    auto old = std::find_if(reports_.begin(), reports_.end(), same);
    if (old != reports_.end()) drop(static_cast<size_t>(old - reports_.begin()));
  } else if (!contains(kAll, type)) {
    return false;
  }
  body_bytes_ += report.body.size();
  reports_.push_back(report);
  while (reports_.size() > 1 && (reports_.size() > kMostReports || body_bytes_ > kMostBodyBytes)) drop(0);
  return true;
}

void KeptReports::drop(size_t at) {
  body_bytes_ -= reports_[at].body.size();
  reports_.erase(reports_.begin() + static_cast<std::ptrdiff_t>(at));
}

void KeptReports::answered(int64_t request) {
  for (size_t i = 0; i < reports_.size(); ++i) {
    if (reports_[i].type() == "store_get" && reports_[i].head.integer_or("request", -1) == request)
      return drop(i);
  }
}

const Message* KeptReports::last(std::string_view type) const {
  for (auto report = reports_.rbegin(); report != reports_.rend(); ++report) {
    if (report->type() == type) return &*report;
  }
  return nullptr;
}

bool KeptReports::has(std::string_view type) const { return last(type) != nullptr; }

}  // namespace gnnflow
