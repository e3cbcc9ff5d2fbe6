// Local: each rank shuffles its own training nodes. Global: all shuffle the same list and take their cut of
// every batch, so the batches are the same sets on any number of ranks; labels of nodes owned elsewhere are
// exchanged once.
#include "worker/trainer/seed_schedule.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "common/sampler/seeds.h"

namespace gnnflow {

Result<int64_t> SeedSchedule::collect_local() {
  std::vector<std::pair<int64_t, int32_t>> found;
  for (const int32_t node : graph_->split(SplitName::train)) {
    TRY(const int32_t label, checked_label(*graph_, node, graph_->label(node)));
    found.emplace_back(graph_->original(node), label);
  }
  std::sort(found.begin(), found.end());
  for (const auto& [original, label] : found) {
    originals_.push_back(original);
    labels_.push_back(label);
  }
  return static_cast<int64_t>(found.size());
}

Status SeedSchedule::collect_global(RankGroup& group) {
  TRY(const Split split,
      graph_->partition().split(kNodeType, graph_->scheme().empty() ? "default" : graph_->scheme()));
  const int64_t count = split.train.present() ? split.train.rows() : 0;
  auto labels = torch::zeros({count}, torch::kInt64);
  auto* values = labels.data_ptr<int64_t>();
  for (int64_t i = 0; i < count; ++i) originals_.push_back(split.train.integer(i));
  for (const int32_t node : graph_->split(SplitName::train)) {
    TRY(const int32_t label, checked_label(*graph_, node, graph_->label(node)));
    const auto at = std::lower_bound(originals_.begin(), originals_.end(), graph_->original(node));
    if (at == originals_.end() || *at != graph_->original(node)) {
      return Error{Cause::bad_data,
                   fmt::format("node {} is in a part's training split, but not in the whole graph's",
                               graph_->original(node))};
    }
    values[at - originals_.begin()] = label + 1;
  }
  TRY(group.sum(labels, "labels of the seeds"));
  for (int64_t i = 0; i < count; ++i) {
    if (values[i] < 1 || values[i] > graph_->shape().classes) {
      return Error{Cause::bad_data, fmt::format("training node {} belongs to no rank, or to several",
                                                originals_[static_cast<size_t>(i)])};
    }
    labels_.push_back(static_cast<int32_t>(values[i] - 1));
  }
  return {};
}

Result<SeedSchedule> SeedSchedule::make(const RankGraph& graph, const SampleSettings& settings, uint64_t seed,
                                        RankGroup& group) {
  SeedSchedule schedule;
  schedule.graph_ = &graph;
  schedule.settings_ = settings;
  schedule.seed_ = seed;
  schedule.rank_ = group.rank();
  schedule.ranks_ = group.ranks();
  if (settings.seeds == SeedOrder::global) {
    TRY(schedule.collect_global(group));
    schedule.total_ = static_cast<int64_t>(schedule.originals_.size());
    const int64_t counts[] = {schedule.total_};
    schedule.steps_ = plan_seeds(counts, 0, settings.batch).steps;
  } else {
    // A rank with bad labels must not leave the others waiting: it ends, and their sum fails.
    TRY(const int64_t count, schedule.collect_local());
    TRY(const auto counts, group.gather(count, "numbers of seeds"));
    schedule.total_ = std::accumulate(counts.begin(), counts.end(), int64_t{0});
    schedule.steps_ = plan_seeds(counts, schedule.rank_, settings.batch).steps;
  }
  if (schedule.total_ == 0) {
    return Error{Cause::bad_data,
                 fmt::format("{}: no training nodes: the graph has no `train` split, or an empty one",
                             graph.partition().folder().string())};
  }
  return schedule;
}

SeedPass SeedSchedule::epoch(int64_t epoch) const {
  std::vector<int64_t> order = originals_;
  shuffle_seeds(seed_, epoch, order);
  const bool global = settings_.seeds == SeedOrder::global;
  const auto count = static_cast<int64_t>(order.size());
  SeedPass pass;
  pass.bounds.push_back(0);
  for (int64_t step = 0; step < steps_; ++step) {
    int64_t begin = std::min(count, step * settings_.batch), end = std::min(count, begin + settings_.batch);
    if (global) {
      const int64_t length = end - begin, first = begin;
      begin = first + length * rank_ / ranks_;
      end = first + length * (rank_ + 1) / ranks_;
    }
    for (int64_t i = begin; i < end; ++i) {
      const int64_t original = order[static_cast<size_t>(i)];
      const auto at = std::lower_bound(originals_.begin(), originals_.end(), original) - originals_.begin();
      pass.nodes.push_back(static_cast<int32_t>(graph_->from_original(original)));
      pass.labels.push_back(labels_[static_cast<size_t>(at)]);
    }
    pass.bounds.push_back(static_cast<int64_t>(pass.nodes.size()));
  }
  return pass;
}

Result<SeedPass> SeedSchedule::validation() const {
  SeedPass pass;
  pass.bounds.push_back(0);
  for (const int32_t node : graph_->split(SplitName::val)) {
    const int64_t label = graph_->label(node);
    if (label < 0) continue;
    TRY(const int32_t checked, checked_label(*graph_, node, label));
    pass.nodes.push_back(node);
    pass.labels.push_back(checked);
    if (static_cast<int64_t>(pass.nodes.size()) - pass.bounds.back() == settings_.batch) {
      pass.bounds.push_back(static_cast<int64_t>(pass.nodes.size()));
    }
  }
  if (pass.bounds.back() != static_cast<int64_t>(pass.nodes.size())) {
    pass.bounds.push_back(static_cast<int64_t>(pass.nodes.size()));
  }
  return pass;
}

}  // namespace gnnflow
