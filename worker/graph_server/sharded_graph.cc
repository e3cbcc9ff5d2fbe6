// Splits lists by owner, asks all owners at once, and puts the answers in order.
#include "worker/graph_server/sharded_graph.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <ranges>
#include <utility>

#include <fmt/format.h>

#include "worker/graph_server/answerer.h"
#include "worker/graph_server/client.h"
#include "worker/graph_server/mapped_part.h"

namespace gnnflow {
namespace {

constexpr int64_t kPieceBytes = int64_t{2} << 20;  // of a reply: several are under way at once
constexpr int64_t kLeastPiece = 256, kMostPiece = int64_t{1} << 18;  // nodes of one request
constexpr int64_t kWholeRowGuess = 128;  // neighbours of a node, where all are asked for

// One owner: a mapping, or servers.
struct Shard {
  std::shared_ptr<const MappedPart> mapped;
  std::vector<std::unique_ptr<RemotePart>> servers;

  // of the list at hand
  Buffer<int32_t> nodes, positions;
};

// Neighbours of positions [begin, end) of a shard's list: drawn here, or as they came.
struct Piece {
  Shard* shard = nullptr;
  size_t begin = 0, end = 0;
  Buffer<int32_t> offsets, sources;  // drawn here
  Frames frames;                     // as they came
  Packed<int32_t> packed_offsets, packed_sources;
};

class ShardedGraph final : public GraphSource {
 public:
  ShardedGraph(PartitionDir partition, const ShardOptions& options)
      : partition_(std::move(partition)),
        types_(numbered_types(partition_.index())),
        relations_(numbered_relations(partition_.index())),
        shards_(static_cast<size_t>(partition_.index().parts)) {
    if (!options.servers.empty()) context_ = std::make_unique<SocketContext>(1);
  }

  Status open(const ShardOptions& options) {
    for (const int part : options.mapped) {
      TRY(Shard * shard, shard_of(part));
      TRY(shard->mapped, MappedPart::open(partition_, part));
    }
    for (const ServerAddress& server : options.servers) {
      TRY(Shard * shard, shard_of(server.part));
      if (shard->mapped) continue;
      TRY(auto remote, RemotePart::open(*context_, {.server = server,
                                                    .keys = options.keys,
                                                    .digest = partition_.index().digest(),
                                                    .deadline = options.deadline,
                                                    .retry = options.retry,
                                                    .stop = options.stop}));
      shard->servers.push_back(std::move(remote));
    }
    for (size_t part = 0; part < shards_.size(); ++part) {
      if (shards_[part].mapped || !shards_[part].servers.empty()) continue;
      return Error{Cause::unreachable,
                   fmt::format("part {} is neither mapped here nor served by anybody", part)};
    }
    return collect([](const Question&, const Reply&, Frames&) { return Status(); });
  }

  Status neighbours(const NeighbourRequest& request, Neighbours& out) override {
    TRY(const uint16_t index, number_of(relations_, request.relation, "relation"));
    const RelationName ends = *RelationName::parse(request.relation);
    const int64_t node_limit = partition_.ranges(ends.source).count();
    out.offsets.resize(1);
    out.offsets[0] = 0;
    out.sources.clear();
    if (request.fanout < kAllNeighbours || request.fanout > kMaxFanout) {
      return Error{Cause::bad_workflow,
                   fmt::format("fan-out {}: give -1 (all) or 0 to {}", request.fanout, kMaxFanout)};
    }
    TRY(split(ends.destination, request.nodes));
    if (Shard* only = only_shard(request.nodes.size()); only != nullptr && only->mapped) {
      counters_.local_nodes += static_cast<int64_t>(request.nodes.size());
      return only->mapped->draw(request.relation, request.layer_key, request.fanout, request.nodes,
                                out.offsets, out.sources);
    }
    cut_into_pieces(request.fanout);
    for (size_t i = 0; i < used_pieces_; ++i) {
      Piece& piece = pieces_[i];
      if (piece.shard->mapped) continue;
      server_for(piece, i).ask({.operation = Operation::neighbours,
                                .index = index,
                                .fanout = static_cast<int16_t>(request.fanout),
                                .layer_key = request.layer_key,
                                .nodes = list_of(piece),
                                .tag = i});
      counters_.remote_nodes += static_cast<int64_t>(piece.end - piece.begin);
    }
    TRY(forget_on_error(draw_here(request)));
    TRY(collect([&](const Question& question, const Reply& reply, Frames& frames) {
      return keep(piece_of(question), frames, reply, node_limit);
    }));
    return assemble(request.nodes.size(), out);
  }

  Status rows(std::string_view type, std::span<const int32_t> nodes, float* out, int64_t stride) override {
    TRY(const uint16_t index, number_of(types_, type, "node type"));
    const auto found = partition_.index().feature_columns.find(std::string(type));
    const int64_t columns = found == partition_.index().feature_columns.end() ? 0 : found->second;
    if (columns == 0) return Error{Cause::bad_data, fmt::format("node type '{}' has no features", type)};
    TRY(split(type, nodes));
    if (Shard* only = only_shard(nodes.size()); only != nullptr && only->mapped) {
      counters_.local_rows += static_cast<int64_t>(nodes.size());
      return only->mapped->rows(type, nodes, {}, out, stride, scratch_);
    }
    const auto piece_size = static_cast<size_t>(
        std::clamp(kPieceBytes / (columns * int64_t{sizeof(float)}), kLeastPiece, kMostPiece));
    size_t number = 0;
    for (Shard& shard : shards_) {
      if (shard.mapped) continue;
      for (size_t begin = 0; begin < shard.nodes.size(); begin += piece_size, ++number) {
        const size_t count = std::min(piece_size, shard.nodes.size() - begin);
        shard.servers[number % shard.servers.size()]->ask(
            {.operation = Operation::rows,
             .index = index,
             .nodes = shard.nodes.span().subspan(begin, count),
             .tag = static_cast<size_t>(&shard - shards_.data())});
      }
      counters_.remote_rows += static_cast<int64_t>(shard.nodes.size());
    }
    TRY(forget_on_error(rows_here(type, out, stride)));
    return collect([&](const Question& question, const Reply& reply, Frames&) {
      return place(question, reply, columns, out, stride);
    });
  }

  SourceCounters take_counters() override {
    SourceCounters taken = std::exchange(counters_, {});
    for (Shard& shard : shards_) {
      for (const auto& server : shard.servers) server->add_counters(taken);
    }
    return taken;
  }

 private:
  Result<Shard*> shard_of(int part) {
    if (part >= 0 && static_cast<size_t>(part) < shards_.size()) return &shards_[static_cast<size_t>(part)];
    return Error{Cause::bad_data, fmt::format("part {} of a partition with {} parts", part, shards_.size())};
  }

  static Result<uint16_t> number_of(const std::vector<std::string>& names, std::string_view name,
                                    std::string_view what) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end())
      return Error{Cause::bad_data, fmt::format("the partition has no {} '{}'", what, name)};
    return static_cast<uint16_t>(found - names.begin());
  }

  // Every shard gets its nodes and where they stood.
  Status split(std::string_view type, std::span<const int32_t> nodes) {
    const Ranges& ranges = partition_.ranges(type);
    for (Shard& shard : shards_) {
      shard.nodes.clear();
      shard.positions.clear();
    }
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (nodes[i] < 0 || nodes[i] >= ranges.count()) {
        return Error{Cause::bad_data, fmt::format("node {} of type '{}' is out of range: there are {}",
                                                  nodes[i], type, ranges.count())};
      }
      Shard& shard = shards_[static_cast<size_t>(ranges.owner_of(nodes[i]))];
      shard.nodes.push_back(nodes[i]);
      shard.positions.push_back(static_cast<int32_t>(i));
    }
    return {};
  }

  // The owner of all nodes, where there is one.
  Shard* only_shard(size_t count) {
    for (Shard& shard : shards_) {
      if (shard.nodes.size() == count) return &shard;
    }
    return nullptr;
  }

  void cut_into_pieces(int fanout) {
    const int64_t bytes = (fanout == kAllNeighbours ? kWholeRowGuess : fanout + 1) * int64_t{sizeof(int32_t)};
    const auto size = static_cast<size_t>(std::clamp(kPieceBytes / bytes, kLeastPiece, kMostPiece));
    used_pieces_ = 0;
    for (Shard& shard : shards_) {
      const size_t step = shard.mapped ? shard.nodes.size() : size;
      for (size_t begin = 0; begin < shard.nodes.size(); begin += step) {
        add_piece(shard, begin, std::min(begin + step, shard.nodes.size()));
      }
    }
  }

  Piece& add_piece(Shard& shard, size_t begin, size_t end) {
    if (used_pieces_ == pieces_.size()) pieces_.emplace_back();
    Piece& piece = pieces_[used_pieces_++];
    piece.shard = &shard;
    piece.begin = begin;
    piece.end = end;
    return piece;
  }

  // What was too large for one reply was asked for in smaller pieces.
  Piece& piece_of(const Question& question) {
    Piece& asked = pieces_[question.tag];
    if (question.nodes.size() == asked.end - asked.begin) return asked;
    asked.end = asked.begin;
    const auto begin = static_cast<size_t>(question.nodes.data() - asked.shard->nodes.data());
    return add_piece(*asked.shard, begin, begin + question.nodes.size());
  }

  auto pieces() {
    return std::ranges::subrange(pieces_.begin(),
                                 pieces_.begin() + static_cast<std::ptrdiff_t>(used_pieces_));
  }

  static std::span<const int32_t> list_of(const Piece& piece) {
    return piece.shard->nodes.span().subspan(piece.begin, piece.end - piece.begin);
  }

  static RemotePart& server_for(const Piece& piece, size_t number) {
    return *piece.shard->servers[number % piece.shard->servers.size()];
  }

  Status draw_here(const NeighbourRequest& request) {
    for (Piece& piece : pieces()) {
      if (!piece.shard->mapped) continue;
      piece.offsets.resize(1);
      piece.offsets[0] = 0;
      piece.sources.clear();
      TRY(piece.shard->mapped->draw(request.relation, request.layer_key, request.fanout, list_of(piece),
                                    piece.offsets, piece.sources));
      piece.packed_offsets = Packed<int32_t>(std::as_bytes(piece.offsets.span()));
      piece.packed_sources = Packed<int32_t>(std::as_bytes(piece.sources.span()));
      counters_.local_nodes += static_cast<int64_t>(piece.end - piece.begin);
    }
    return {};
  }

  Status rows_here(std::string_view type, float* out, int64_t stride) {
    for (Shard& shard : shards_) {
      if (!shard.mapped || shard.nodes.empty()) continue;
      TRY(shard.mapped->rows(type, shard.nodes.span(), shard.positions.span(), out, stride, scratch_));
      counters_.local_rows += static_cast<int64_t>(shard.nodes.size());
    }
    return {};
  }

  Status keep(Piece& piece, Frames& frames, const Reply& reply, int64_t node_limit) const {
    for (size_t i = 0; i < reply.sources.size(); ++i) {
      if (static_cast<uint32_t>(reply.sources[i]) >= static_cast<uint64_t>(node_limit)) {
        return Error{Cause::bad_data,
                     fmt::format("the graph server of part {} answers with node {}, but there are {}",
                                 piece.shard - shards_.data(), reply.sources[i], node_limit)};
      }
    }
    piece.frames = std::move(frames);
    piece.packed_offsets = Packed<int32_t>(std::as_const(piece.frames)[1].bytes());
    piece.packed_sources = Packed<int32_t>(std::as_const(piece.frames)[2].bytes());
    return {};
  }

  Status place(const Question& question, const Reply& reply, int64_t columns, float* out, int64_t stride) {
    const auto type = static_cast<RowType>(reply.head.detail);
    const auto count = static_cast<int64_t>(question.nodes.size());
    if (static_cast<int64_t>(reply.rows.size()) != count * columns * bytes_of(type)) {
      return Error{Cause::bad_data,
                   fmt::format("the graph server of part {} answers with {} bytes for {} rows of {} columns",
                               question.tag, reply.rows.size(), count, columns)};
    }
    const Shard& shard = shards_[question.tag];
    const auto begin = static_cast<size_t>(question.nodes.data() - shard.nodes.data());
    kernels().place({reply.rows.data(), count, columns, type}, {},
                    shard.positions.span().subspan(begin, question.nodes.size()), out, stride);
    return {};
  }

  Status assemble(size_t count, Neighbours& out) {
    out.offsets.resize(count + 1);
    for (const Piece& piece : pieces()) {
      const int32_t* positions = piece.shard->positions.data() + piece.begin;
      for (size_t i = 0; i < piece.end - piece.begin; ++i) {
        out.offsets[static_cast<size_t>(positions[i]) + 1] =
            piece.packed_offsets[i + 1] - piece.packed_offsets[i];
      }
    }
    int64_t edges = 0;
    for (size_t i = 1; i <= count; ++i) {
      edges += out.offsets[i];
      if (edges > std::numeric_limits<int32_t>::max()) {
        return Error{Cause::no_resources, "a hop has 2^31 edges or more: use a smaller batch or fan-out"};
      }
      out.offsets[i] = static_cast<int32_t>(edges);
    }
    out.sources.resize(static_cast<size_t>(edges));
    for (const Piece& piece : pieces()) {
      const int32_t* positions = piece.shard->positions.data() + piece.begin;
      for (size_t i = 0; i < piece.end - piece.begin; ++i) {
        const auto from = static_cast<size_t>(piece.packed_offsets[i]);
        const auto length = static_cast<size_t>(piece.packed_offsets[i + 1]) - from;
        piece.packed_sources.copy_to(out.sources.data() + out.offsets[static_cast<size_t>(positions[i])],
                                     from, length);
      }
    }
    return {};
  }

  Status collect(const RemotePart::Use& use) {
    Status first;
    for (Shard& shard : shards_) {
      for (const auto& server : shard.servers) {
        if (!first) {
          server->forget();
        } else {
          first = server->collect(use);
        }
      }
    }
    return first;
  }

  Status forget_on_error(Status status) {
    if (status) return status;
    for (Shard& shard : shards_) {
      for (const auto& server : shard.servers) server->forget();
    }
    return status;
  }

  PartitionDir partition_;
  std::vector<std::string> types_, relations_;
  std::unique_ptr<SocketContext> context_;  // ends after the shards' sockets
  std::vector<Shard> shards_;
  std::deque<Piece> pieces_;  // reused; frames must stay where they are
  size_t used_pieces_ = 0;
  Buffer<int32_t> scratch_;
  SourceCounters counters_;
};

}  // namespace

Result<std::unique_ptr<GraphSource>> open_sharded_graph(const ShardOptions& options) {
  TRY(auto partition, PartitionDir::open(options.partition));
  auto graph = std::make_unique<ShardedGraph>(std::move(partition), options);
  TRY(graph->open(options));
  return std::unique_ptr<GraphSource>(std::move(graph));
}

}  // namespace gnnflow
