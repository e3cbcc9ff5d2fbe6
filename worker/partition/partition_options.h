// What `partition` is asked to do: the options of the step and of the command line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/json.h"
#include "common/base/result.h"

namespace gnnflow {

struct PartitionOptions {
  int parts = 2;
  std::string method = "metis";                                    // or "random"; one part needs neither
  std::vector<std::string> balance = {"nodes", "edges", "train"};  // what METIS keeps even
  double imbalance = 1.05;                                         // most of a part over its even share, each
  std::string objective = "cut";
  int64_t seed = 0;
  int64_t memory = 0;  // bytes that METIS may take; 0: what the machine has left

  static Result<PartitionOptions> from_json(const Json& options);  // `bad_workflow` names the key
  Json to_json() const;  // without memory: it does not change the result
};

}  // namespace gnnflow
