// How far a task is, in the words that store, view and jobs share.
#pragma once

#include <cstdint>
#include <string>

#include "common/base/json.h"

namespace gnnflow {

struct Progress {
  std::string phase;  // "metis", "epoch 3", "writing"
  int64_t done = 0;
  int64_t total = 0;  // 0: unknown
  std::string unit;   // "edges", "batches", "bytes"
  std::string note;   // "loss 1.21, val 0.71"
  double rate = 0;    // units per second; 0: whoever shows it may reckon

  Json to_json() const;
  static Progress from_json(const Json& json);  // lenient: what is missing is empty
};

}  // namespace gnnflow
