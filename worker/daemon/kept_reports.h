// What a job has said that a controller must hear again when it comes back.
#pragma once

#include <string>
#include <vector>

#include "common/wire/message.h"

namespace gnnflow {

// The last of ready, allowed, result, progress; all of store_set, checkpoint, metrics; store_get while
// unanswered. Bounded: what is over the limit costs the oldest.
class KeptReports {
 public:
  // False: no kind of report.
  bool keep(const Message& report);
  void answered(int64_t request);  // a store_get
  bool has(std::string_view type) const;
  const Message* last(std::string_view type) const;
  const std::vector<Message>& in_order() const { return reports_; }

 private:
  void drop(size_t at);
  std::vector<Message> reports_;
  size_t body_bytes_ = 0;
};

}  // namespace gnnflow
