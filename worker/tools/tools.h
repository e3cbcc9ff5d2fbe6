// What a person, or the controller, asks gnnflow-worker about directories. Each prints to stdout and returns
// the exit code.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/file.h"
#include "common/base/json.h"

namespace gnnflow {

enum class Output { text, json };

// Graph or partition: counts, arrays, provenance, report.
int run_info(const fs::path& folder, Output output);

// Reads everything; the first bad place is named with array and position, and the exit code is 12.
int run_verify(const fs::path& folder, Output output);

// The files of a directory, or those that a host with one part needs: path, bytes, XXH3-128.
int run_list(const fs::path& folder, std::optional<int> part, Output output);

struct SampleRequest {
  fs::path folder;
  std::vector<int64_t> seeds;  // original ids
  std::vector<int> fanout;     // layer nearest the input first; -1: all
  int64_t epoch = 0, step = 0, seed = 0;
};
// Nodes and edges per layer in original ids: the same lines for a graph and any partition of it.
int run_sample(const SampleRequest& request, Output output);

// Making directories by hand. `options` are those of the step of that name.
int run_generate(const Json& options, const fs::path& target, Output output);
int run_import(const Json& options, const fs::path& source, const fs::path& target, Output output);
int run_partition(const Json& options, const fs::path& graph, const fs::path& target, Output output);

// The same as a job of a daemon: `kind` is generate, import or partition, `task` the task.json.
int run_graph_job(const std::string& kind, const fs::path& task);

}  // namespace gnnflow
