// The planted-partition generator.
//
// Every number is a draw of the pick function, keyed by what it is for and by its node, so threads may draw
// in any order:
//
//   class     uniform; edges and features follow it
//   label     the class, but for a share of nodes (`label_noise`) any
//   degree    Pareto with exponent 1.5, scaled so that the mean is the one asked for, at most nodes / 40
//   edges     a node draws partners for half of its degree: with probability `homophily` of its own class,
//   else of any,
//             in proportion to their degree (a random place in a list that holds each node half its degree
//             times)
//   features  the class's mean + noise; a mean is noise of its own, drawn once per class
//   split     one draw per node
//
// So that the bytes are the same on any machine, arithmetic is on integers, or on doubles by operations that
// IEEE rounds correctly and that no compiler may fuse: roots and products, never log or pow.
#include "worker/ingest/generate.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "common/sampler/pick.h"
#include "worker/ingest/in_edges.h"
#include "worker/ingest/parallel.h"

namespace gnnflow {
namespace {

constexpr int64_t kLargestDegreeShare = 40;

class Draws {
 public:
  Draws(int64_t seed, std::string_view what)
      : key_(KeyChain(PickUse::generator).with(static_cast<uint64_t>(seed)).with(what).key()) {}
  uint64_t of(int64_t node, int64_t i = 0) const {
    return draw(node_key(key_, static_cast<uint64_t>(node)), static_cast<uint64_t>(i));
  }

 private:
  uint64_t key_;
};

// u^(-2/3) for u in (0, 1]: 2/3 in binary is 0.101010..., so it is a product of every other repeated square
// root.
double pareto(double u) {
  double root = u, power = 1;
  for (int i = 0; i < 16; ++i) {
    root = std::sqrt(root);
    if (i % 2 == 0) power *= root;
  }
  return 1 / power;
}

// About normal, as an integer: four 16-bit numbers, centred. Its deviation is kBell.
int64_t bell(uint64_t draw) {
  return static_cast<int64_t>((draw & 0xffff) + (draw >> 16 & 0xffff) + (draw >> 32 & 0xffff) +
                              (draw >> 48)) -
         2 * 65'535;
}
constexpr double kBell = 37'837.2;
constexpr double kFixed = 0x1p32;

class Generator {
 public:
  Generator(const GenerateOptions& options, int threads, const ProgressSink& progress)
      : options_(options), threads_(threads), progress_(progress) {}

  void draw_classes();
  void draw_degrees();
  void draw_edges();
  Status write(GraphWriter& writer);

 private:
  void fill_stubs();
  int32_t partner(int64_t node, int64_t i, const Draws& draws) const;
  Status write_features(GraphWriter& writer);
  Status write_labels(GraphWriter& writer);
  Status write_splits(GraphWriter& writer);

  const GenerateOptions& options_;
  const int threads_;
  const ProgressSink& progress_;
  std::vector<int16_t> classes_, labels_;
  std::vector<int64_t> first_row_;   // of each node's own draws; [nodes + 1]
  std::vector<int32_t> stubs_;       // by class: each node as often as it draws
  std::vector<int64_t> first_stub_;  // of each class; [classes + 1]
  std::vector<int32_t> sources_, destinations_;
};

void Generator::draw_classes() {
  const auto classes = static_cast<uint64_t>(options_.classes);
  classes_.resize(static_cast<size_t>(options_.nodes));
  labels_.resize(classes_.size());
  const Draws class_draws(options_.seed, "class"), label_draws(options_.seed, "label");
  in_parallel(options_.nodes, threads_, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<size_t>(i);
      classes_[at] = static_cast<int16_t>(below(class_draws.of(i), classes));
      const bool any = unit_of(label_draws.of(i, 0)) < options_.label_noise;
      labels_[at] = any ? static_cast<int16_t>(below(label_draws.of(i, 1), classes)) : classes_[at];
    }
  });
}

void Generator::draw_degrees() {
  const auto count = static_cast<size_t>(options_.nodes);
  std::vector<double> shape(count);
  const Draws draws(options_.seed, "degree");
  in_parallel(options_.nodes, threads_, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      shape[static_cast<size_t>(i)] = pareto(static_cast<double>((draws.of(i) >> 11) + 1) * 0x1p-53);
    }
  });
  const auto most = static_cast<double>(std::max<int64_t>(options_.nodes / kLargestDegreeShare, 2));
  // Half of the degree: what a node draws itself. Sums of integers do not depend on their order.
  const auto own_draws = [&](size_t i, double scale) {
    return std::max<int64_t>(1, static_cast<int64_t>(std::min(scale * shape[i], most)) / 2);
  };
  const auto wanted = static_cast<int64_t>(options_.average_degree * static_cast<double>(options_.nodes) / 2);
  double low = 0, high = most;
  for (int step = 0; step < 40; ++step) {
    const double scale = (low + high) / 2;
    int64_t sum = 0;
    for (size_t i = 0; i < count; ++i) sum += own_draws(i, scale);
    (sum < wanted ? low : high) = scale;
  }
  first_row_.assign(1, 0);
  first_row_.reserve(count + 1);
  for (size_t i = 0; i < count; ++i) first_row_.push_back(first_row_.back() + own_draws(i, high));
}

void Generator::fill_stubs() {
  first_stub_.assign(static_cast<size_t>(options_.classes) + 1, 0);
  for (int64_t i = 0; i < options_.nodes; ++i) {
    const auto at = static_cast<size_t>(i);
    first_stub_[static_cast<size_t>(classes_[at]) + 1] += first_row_[at + 1] - first_row_[at];
  }
  for (size_t c = 1; c < first_stub_.size(); ++c) first_stub_[c] += first_stub_[c - 1];
  stubs_.resize(static_cast<size_t>(first_row_.back()));
  std::vector<int64_t> next(first_stub_.begin(), first_stub_.end() - 1);
  for (int64_t i = 0; i < options_.nodes; ++i) {
    const auto at = static_cast<size_t>(i);
    int64_t& place = next[static_cast<size_t>(classes_[at])];
    for (int64_t k = first_row_[at]; k < first_row_[at + 1]; ++k)
      stubs_[static_cast<size_t>(place++)] = static_cast<int32_t>(i);
  }
}

int32_t Generator::partner(int64_t node, int64_t i, const Draws& draws) const {
  int64_t first = 0, count = first_row_.back();
  if (unit_of(draws.of(node, 2 * i)) < options_.homophily) {
    const auto own = static_cast<size_t>(classes_[static_cast<size_t>(node)]);
    first = first_stub_[own];
    count = first_stub_[own + 1] - first;
  }
  return stubs_[static_cast<size_t>(first) + below(draws.of(node, 2 * i + 1), static_cast<uint64_t>(count))];
}

void Generator::draw_edges() {
  fill_stubs();
  sources_.resize(static_cast<size_t>(first_row_.back()));
  destinations_.resize(sources_.size());
  const Draws draws(options_.seed, "edge");
  in_parallel(options_.nodes, threads_, [&](int64_t begin, int64_t end) {
    for (int64_t node = begin; node < end; ++node) {
      const int64_t first = first_row_[static_cast<size_t>(node)],
                    last = first_row_[static_cast<size_t>(node) + 1];
      for (int64_t row = first; row < last; ++row) {
        sources_[static_cast<size_t>(row)] = partner(node, row - first, draws);
        destinations_[static_cast<size_t>(row)] = static_cast<int32_t>(node);
      }
    }
  });
  stubs_ = {};
}

Status Generator::write_features(GraphWriter& writer) {
  const int64_t columns = options_.features;
  const auto mean_scale = static_cast<int64_t>(kFixed / kBell);
  const auto noise_scale = static_cast<int64_t>(options_.noise * (kFixed / kBell));
  const Draws mean_draws(options_.seed, "class mean"), draws(options_.seed, "feature");
  std::vector<int64_t> means(static_cast<size_t>(options_.classes * columns));
  for (int64_t i = 0; i < options_.classes * columns; ++i) {
    means[static_cast<size_t>(i)] = bell(mean_draws.of(i / columns, i % columns)) * mean_scale;
  }
  TRY(auto out,
      ArrayWriter::create(writer.folder(), "nodes/node/feat.npy", Dtype::f4, {options_.nodes, columns}));
  const int64_t chunk = std::max<int64_t>(1, (int64_t{4} << 20) / columns);
  std::vector<float> rows;
  for (int64_t from = 0; from < options_.nodes; from += chunk) {
    const int64_t count = std::min(chunk, options_.nodes - from);
    rows.resize(static_cast<size_t>(count * columns));
    in_parallel(count, threads_, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t own = classes_[static_cast<size_t>(from + i)];
        for (int64_t c = 0; c < columns; ++c) {
          const int64_t fixed =
              means[static_cast<size_t>(own * columns + c)] + bell(draws.of(from + i, c)) * noise_scale;
          rows[static_cast<size_t>(i * columns + c)] =
              static_cast<float>(static_cast<double>(fixed) * (1 / kFixed));
        }
      }
    });
    TRY(out.write_all(std::span<const float>(rows)));
    progress_({"writing features", from + count, options_.nodes, "nodes", ""});
  }
  TRY(auto info, out.finish());
  writer.add(std::move(info));
  writer.index().feature_columns[std::string(kNodeType)] = columns;
  return {};
}

Status Generator::write_labels(GraphWriter& writer) {
  const bool narrow = options_.classes <= 128;
  TRY(auto out, ArrayWriter::create(writer.folder(), "nodes/node/label.npy", narrow ? Dtype::i1 : Dtype::i2,
                                    {options_.nodes}));
  if (narrow) {
    const std::vector<int8_t> labels(labels_.begin(), labels_.end());
    TRY(out.write_all(std::span<const int8_t>(labels)));
  } else {
    TRY(out.write_all(std::span<const int16_t>(labels_)));
  }
  TRY(auto info, out.finish());
  writer.add(std::move(info));
  writer.index().classes[std::string(kNodeType)] = options_.classes;
  return {};
}

Status Generator::write_splits(GraphWriter& writer) {
  const Draws draws(options_.seed, "split");
  std::vector<int64_t> sets[3];
  for (int64_t i = 0; i < options_.nodes; ++i) {
    const double u = unit_of(draws.of(i));
    sets[u < options_.train_share ? 0 : u < options_.train_share + options_.val_share ? 1 : 2].push_back(i);
  }
  constexpr std::string_view kNames[] = {"train", "val", "test"};
  for (int i = 0; i < 3; ++i) {
    TRY(auto info,
        write_ids(writer.folder(), fmt::format("split/{}/{}/{}.npy", kNodeType, kScheme, kNames[i]),
                  dtype_for_ids(options_.nodes), sets[i]));
    writer.add(std::move(info));
  }
  return {};
}

Status Generator::write(GraphWriter& writer) {
  const EdgeList edges{IdView(std::span<const int32_t>(sources_)),
                       IdView(std::span<const int32_t>(destinations_)), options_.nodes};
  TRY(write_in_edges(edges, {.undirected = true, .self_loops = SelfLoops::drop}, kRelation, writer,
                     progress_));
  sources_ = {};
  destinations_ = {};
  TRY(write_features(writer));
  TRY(write_labels(writer));
  return write_splits(writer);
}

}  // namespace

Result<GraphIndex> generate_graph(const GenerateOptions& options, const fs::path& target, int threads,
                                  const ProgressSink& progress) {
  TRY(auto writer, GraphWriter::create(target));
  Generator generator(options, threads, progress);
  progress({"drawing edges", 0, 0, "", ""});
  generator.draw_classes();
  generator.draw_degrees();
  generator.draw_edges();
  TRY(generator.write(writer));
  writer.index().nodes[std::string(kNodeType)] = options.nodes;
  writer.index().provenance =
      Json::Object{{"command", "generate"}, {"options", options.to_json()}, {"seed", options.seed}};
  return writer.commit();
}

}  // namespace gnnflow
