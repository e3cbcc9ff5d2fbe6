// Weights per node for the balance of parts, and the report on an assignment. No times: reports are part of
// the bytes.
#include "worker/partition/balance.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/base/text.h"

namespace gnnflow {
namespace {

const Array* set_named(const Split& split, std::string_view name) {
  if (name == "train") return &split.train;
  if (name == "val") return &split.val;
  return name == "test" ? &split.test : nullptr;
}

Status add_set(const Array& ids, std::vector<int32_t>& weights) {
  for (int64_t i = 0; i < ids.rows(); ++i) {
    const int64_t id = ids.integer(i);
    if (id < 0 || id >= static_cast<int64_t>(weights.size())) {
      return Error{Cause::bad_data, fmt::format("{}: id {} at position {} is not below the {} nodes",
                                                ids.path().string(), id, i, weights.size())};
    }
    weights[static_cast<size_t>(id)] = 1;
  }
  return {};
}

Result<BalanceConstraint> make_constraint(const GraphDir& graph, const std::string& name) {
  const NodeArrays& node = graph.node();
  BalanceConstraint constraint{
      name, std::vector<int32_t>(static_cast<size_t>(node.count), name == "nodes" ? 1 : 0)};
  if (name == "edges") {
    const auto offsets = graph.relation().indptr.as<int64_t>();
    for (size_t i = 0; i + 1 < offsets.size(); ++i) {
      constraint.weights[i] = static_cast<int32_t>(std::min<int64_t>(offsets[i + 1] - offsets[i], INT32_MAX));
    }
    return constraint;
  }
  const auto split = node.splits.find(std::string(kScheme));
  if (split == node.splits.end()) return constraint;
  if (const Array* ids = set_named(split->second, name); ids != nullptr && ids->present()) {
    TRY(add_set(*ids, constraint.weights));
  }
  return constraint;
}

double ratio(int64_t part, int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

// Edges whose source another part owns: what has to be asked over the wire.
int64_t remote_edges(const RelationArrays& relation, std::span<const int32_t> assignment) {
  const auto offsets = relation.indptr.as<int64_t>();
  const IdView sources = relation.ids();
  int64_t remote = 0;
  for (size_t to = 0; to + 1 < offsets.size(); ++to) {
    for (int64_t at = offsets[to]; at < offsets[to + 1]; ++at) {
      if (assignment[static_cast<size_t>(sources[at])] != assignment[to]) ++remote;
    }
  }
  return remote;
}

int64_t cut_pairs(const Adjacency& adjacency, std::span<const int32_t> assignment) {
  int64_t twice = 0;
  for (size_t i = 0; i + 1 < adjacency.offsets.size(); ++i) {
    for (int64_t at = adjacency.offsets[i]; at < adjacency.offsets[i + 1]; ++at) {
      if (assignment[static_cast<size_t>(adjacency.neighbours[static_cast<size_t>(at)])] != assignment[i])
        ++twice;
    }
  }
  return twice / 2;
}

constexpr std::string_view kReported[] = {"nodes", "edges", "train", "val", "test"};

}  // namespace

Result<std::vector<BalanceConstraint>> make_constraints(const GraphDir& graph,
                                                        std::span<const std::string> names) {
  std::vector<BalanceConstraint> constraints;
  for (const std::string& name : names) {
    TRY(auto constraint, make_constraint(graph, name));
    constraints.push_back(std::move(constraint));
  }
  return constraints;
}

Json partition_report(const GraphDir& graph, const Adjacency& adjacency, std::span<const int32_t> assignment,
                      int parts) {
  Json report;
  const int64_t cut = cut_pairs(adjacency, assignment);
  const int64_t remote = remote_edges(graph.relation(), assignment);
  report["edge_cut"] = cut;
  report["pairs"] = adjacency.pairs();
  report["edge_cut_share"] = ratio(cut, adjacency.pairs());
  report["remote_edges"] = remote;
  report["remote_share"] = ratio(remote, graph.relation().indices.rows());
  Json::Array rows(static_cast<size_t>(parts), Json::Object{});
  report["balance"] = Json::Object{};
  for (const std::string_view name : kReported) {
    const auto constraint = make_constraint(graph, std::string(name));
    if (!constraint) continue;  // checked before the parts were made
    std::vector<int64_t> sums(static_cast<size_t>(parts));
    int64_t total = 0;
    for (size_t i = 0; i < assignment.size(); ++i) {
      sums[static_cast<size_t>(assignment[i])] += constraint->weights[i];
      total += constraint->weights[i];
    }
    for (size_t p = 0; p < sums.size(); ++p) rows[p][name] = sums[p];
    if (total > 0)
      report["balance"][name] = ratio(*std::max_element(sums.begin(), sums.end()) * parts, total);
  }
  report["parts"] = std::move(rows);
  return report;
}

std::string report_text(const Json& report) {
  std::string text = fmt::format(
      "edge cut: {} of {} pairs ({:.2f} %); {} edges come from another part ({:.2f} %)\n",
      format_count(report.integer_or("edge_cut", 0)), format_count(report.integer_or("pairs", 0)),
      100 * report.number_or("edge_cut_share", 0), format_count(report.integer_or("remote_edges", 0)),
      100 * report.number_or("remote_share", 0));
  text += fmt::format("{:>6}", "part");
  for (const std::string_view name : kReported) text += fmt::format("{:>14}", name);
  text += '\n';
  const Json& parts = report.get("parts");
  for (size_t p = 0; parts.is_array() && p < parts.array().size(); ++p) {
    text += fmt::format("{:>6}", p);
    for (const std::string_view name : kReported) {
      text += fmt::format("{:>14}", format_count(parts.array()[p].integer_or(name, 0)));
    }
    text += '\n';
  }
  text += fmt::format("{:>6}", "most");
  for (const std::string_view name : kReported) {
    const double share = report.get("balance").number_or(name, 0);
    text += share == 0 ? fmt::format("{:>14}", "-") : fmt::format("{:>14.3f}", share);
  }
  return text + "   (largest part over the even share)\n";
}

}  // namespace gnnflow
