// Calls METIS_PartGraphKway, checks what it can hold and what it answers.
#include "worker/partition/metis.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include <fmt/format.h>
#include <metis.h>

#include "common/base/file.h"
#include "common/base/text.h"

namespace gnnflow {
namespace {

static_assert(sizeof(idx_t) == sizeof(int32_t), "this METIS counts in 64 bits: the checks below are for 32");
constexpr int64_t kLargest = std::numeric_limits<idx_t>::max();

Error too_large(std::string_view what, int64_t count) {
  return Error{Cause::no_resources,
               fmt::format("METIS counts in 32 bits: {} {} are more than {}; use method random", count, what,
                           kLargest)};
}

Status check_ranges(const Adjacency& adjacency, const std::vector<BalanceConstraint>& constraints) {
  if (adjacency.nodes() > kLargest) return too_large("nodes", adjacency.nodes());
  if (adjacency.offsets.back() > kLargest) return too_large("neighbours", adjacency.offsets.back());
  for (const BalanceConstraint& constraint : constraints) {
    const int64_t sum = std::accumulate(constraint.weights.begin(), constraint.weights.end(), int64_t{0});
    if (sum > kLargest) return too_large(fmt::format("of '{}' in all", constraint.name), sum);
    if (sum == 0) {
      return Error{Cause::bad_workflow,
                   fmt::format("nothing to balance: no node has any of '{}'; leave it out of 'balance'",
                               constraint.name)};
    }
  }
  return {};
}

Status check_memory(const Adjacency& adjacency, int64_t constraints, int64_t limit) {
  const int64_t needed = metis_memory(adjacency.nodes(), adjacency.offsets.back(), constraints);
  const int64_t allowed = limit > 0 ? limit : memory_left();
  if (allowed == 0 || needed <= allowed) return {};
  return Error{
      Cause::no_resources,
      fmt::format(
          "METIS would take about {} for {} nodes and {} edges, and there are {}; use method random, or a "
          "machine with more memory",
          format_bytes(static_cast<double>(needed)), adjacency.nodes(), adjacency.offsets.back(),
          format_bytes(static_cast<double>(allowed)))};
}

// The value of "MemAvailable:   123 kB", or of a file that holds one number.
int64_t number_in(const fs::path& path, std::string_view key) {
  const auto text = read_file(path);
  if (!text) return 0;
  const size_t at = text->find(key);
  if (at == std::string::npos) return 0;
  const std::string_view rest = trimmed(std::string_view(*text).substr(at + key.size()));
  return parse_integer(rest.substr(0, rest.find_first_of(" \n"))).value_or(0);
}

Error metis_error(int code) {
  switch (code) {
    case METIS_ERROR_INPUT:
      return {Cause::bug, "METIS refuses its input"};
    case METIS_ERROR_MEMORY:
      return {Cause::no_resources, "METIS ran out of memory"};
    default:
      return {Cause::failed,
              fmt::format("METIS failed with code {} (it also does so when it is asked to end)", code)};
  }
}

std::vector<idx_t> interleaved(const std::vector<BalanceConstraint>& constraints, size_t nodes) {
  std::vector<idx_t> weights(nodes * constraints.size());
  for (size_t c = 0; c < constraints.size(); ++c) {
    for (size_t i = 0; i < nodes; ++i) weights[i * constraints.size() + c] = constraints[c].weights[i];
  }
  return weights;
}

}  // namespace

int64_t metis_memory(int64_t nodes, int64_t neighbours, int64_t constraints) {
  return neighbours * 52 + nodes * (96 + 16 * constraints);
}

int64_t memory_left() {
  int64_t left = number_in("/proc/meminfo", "MemAvailable:") * 1024;
  const int64_t group = number_in("/sys/fs/cgroup/memory.max", "");
  if (group > 0)
    left = std::min(left, std::max<int64_t>(group - number_in("/sys/fs/cgroup/memory.current", ""), 1));
  return left;
}

Result<std::vector<int32_t>> metis_assignment(const Adjacency& adjacency,
                                              const std::vector<BalanceConstraint>& constraints,
                                              const MetisOptions& options) {
  TRY(check_ranges(adjacency, constraints));
  TRY(check_memory(adjacency, static_cast<int64_t>(constraints.size()), options.memory));
  auto nodes = static_cast<idx_t>(adjacency.nodes());
  auto kinds = static_cast<idx_t>(std::max<size_t>(constraints.size(), 1));
  auto parts = static_cast<idx_t>(options.parts);
  std::vector<idx_t> offsets(adjacency.offsets.begin(), adjacency.offsets.end());
  std::vector<idx_t> weights = interleaved(constraints, static_cast<size_t>(nodes));
  std::vector<real_t> imbalance(static_cast<size_t>(kinds), static_cast<real_t>(options.imbalance));
  idx_t settings[METIS_NOPTIONS];
  METIS_SetDefaultOptions(settings);
  settings[METIS_OPTION_OBJTYPE] = METIS_OBJTYPE_CUT;
  settings[METIS_OPTION_NUMBERING] = 0;
  // -1 would mean METIS's own default.
  settings[METIS_OPTION_SEED] = static_cast<idx_t>(static_cast<uint64_t>(options.seed) & 0x7fffffff);

  std::vector<idx_t> assignment(static_cast<size_t>(nodes));
  // Declared as changeable, but only renumbered when numbering is not from 0.
  auto* neighbours = const_cast<idx_t*>(adjacency.neighbours.data());
  idx_t cut = 0;
  const int code = METIS_PartGraphKway(&nodes, &kinds, offsets.data(), neighbours,
                                       weights.empty() ? nullptr : weights.data(), nullptr, nullptr, &parts,
                                       nullptr, imbalance.data(), settings, &cut, assignment.data());
  if (code != METIS_OK) return metis_error(code);
  return assignment;
}

}  // namespace gnnflow
