// RankGroup over c10d's Gloo. Ranks find each other by a Store of our own (libtorch's TCPStore listens on
// every interface); Gloo binds to one address. ProcessGroupGloo calls set, get and the timed wait while it is
// made, and the store never after.
#include <map>

#include <fmt/format.h>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "worker/trainer/rank_group.h"

namespace gnnflow {
namespace {

constexpr std::string_view kKeyPrefix = "gloo/";

class RendezvousStore final : public c10d::Store {
 public:
  RendezvousStore(Rendezvous& rendezvous, Milliseconds timeout)
      : c10d::Store(timeout), rendezvous_(rendezvous) {}

  void set(const std::string& key, const std::vector<uint8_t>& value) override {
    check_status(rendezvous_.set(named(key), std::string(value.begin(), value.end())));
  }
  std::vector<uint8_t> get(const std::string& key) override {
    const std::string value = fetch(key, Deadline::after(timeout_));
    return {value.begin(), value.end()};
  }
  void wait(const std::vector<std::string>& keys, const std::chrono::milliseconds& timeout) override {
    const Deadline deadline = Deadline::after(std::min(timeout, timeout_));
    for (const auto& key : keys) fetch(key, deadline);
  }
  int64_t add(const std::string&, int64_t) override { unsupported("add"); }
  bool deleteKey(const std::string&) override { unsupported("deleteKey"); }
  bool check(const std::vector<std::string>&) override { unsupported("check"); }
  int64_t getNumKeys() override { unsupported("getNumKeys"); }
  void wait(const std::vector<std::string>&) override { unsupported("wait without a timeout"); }
#if GNNFLOW_TORCH2
  c10::intrusive_ptr<c10d::Store> clone() override { unsupported("clone"); }
#endif

 private:
  static std::string named(const std::string& key) { return std::string(kKeyPrefix) + key; }
  [[noreturn]] static void unsupported(const char* what) {
    throw std::runtime_error(fmt::format("the rendezvous store does not support {}", what));
  }
  static void check_status(const Status& status) {
    if (!status) throw std::runtime_error(status.error().message);
  }
  // What a peer has set once stays: a wait and the get after it ask once.
  std::string fetch(const std::string& key, Deadline deadline) {
    if (const auto known = values_.find(key); known != values_.end()) return known->second;
    auto value = rendezvous_.get(named(key), deadline);
    if (!value) throw std::runtime_error(value.error().message);
    return values_[key] = *value;
  }

  Rendezvous& rendezvous_;
  std::map<std::string, std::string> values_;
};

class SingleRank final : public RankGroup {
 public:
  int rank() const override { return 0; }
  int ranks() const override { return 1; }
  Status sum(torch::Tensor, std::string_view) override { return {}; }
  Status broadcast(torch::Tensor, std::string_view) override { return {}; }
  Result<Rows> exchange(torch::Tensor out, std::vector<int64_t> counts, std::string_view) override {
    return Rows{std::move(out), std::move(counts)};
  }
};

class GlooGroup final : public RankGroup {
 public:
  GlooGroup(RankGroupOptions options, std::unique_ptr<c10d::ProcessGroupGloo> group)
      : options_(std::move(options)), group_(std::move(group)) {}

  int rank() const override { return options_.rank; }
  int ranks() const override { return options_.ranks; }

  Status sum(torch::Tensor tensor, std::string_view what) override {
    return guarded(what, [&] {
      std::vector<at::Tensor> tensors{std::move(tensor)};
      group_->allreduce(tensors)->wait();
    });
  }

  Status broadcast(torch::Tensor tensor, std::string_view what) override {
    return guarded(what, [&] {
      std::vector<at::Tensor> tensors{std::move(tensor)};
      c10d::BroadcastOptions from_first;
      from_first.rootRank = 0;
      group_->broadcast(tensors, from_first)->wait();
    });
  }

  Result<Rows> exchange(torch::Tensor out, std::vector<int64_t> counts, std::string_view what) override {
    Rows in;
    auto sent = torch::tensor(counts, torch::kInt64);
    auto received = torch::empty_like(sent);
    TRY(guarded(what, [&] { all_to_all(received, sent, {}, {}); }));
    const auto* first = received.data_ptr<int64_t>();
    in.counts.assign(first, first + ranks());
    int64_t total = 0;
    for (const int64_t count : in.counts) {
      if (count < 0) return Error{Cause::bad_data, fmt::format("{}: a rank announced {} rows", what, count)};
      total += count;
    }
    auto shape = out.sizes().vec();
    shape[0] = total;
    in.rows = torch::empty(shape, out.options());
    TRY(guarded(what, [&] { all_to_all(in.rows, out.contiguous(), in.counts, std::move(counts)); }));
    return in;
  }

 private:
  void all_to_all(torch::Tensor to, torch::Tensor from, std::vector<int64_t> to_counts,
                  std::vector<int64_t> from_counts) {
    group_->alltoall_base(to, from, to_counts, from_counts)->wait();
  }

  template <typename Call>
  Status guarded(std::string_view what, Call call) {
    try {
      call();
      return {};
    } catch (const std::exception& error) {
      std::string text = error.what();
      text = text.substr(0, text.find('\n'));
      return Error{Cause::unreachable,
                   fmt::format("rank {} of {}: {} failed: {}", rank(), ranks(), what, text)};
    }
  }

  RankGroupOptions options_;
  std::unique_ptr<c10d::ProcessGroupGloo> group_;
};

}  // namespace

Result<std::unique_ptr<RankGroup>> RankGroup::make(const RankGroupOptions& options, Rendezvous* rendezvous) {
  if (options.ranks == 1) return std::unique_ptr<RankGroup>(std::make_unique<SingleRank>());
  if (rendezvous == nullptr) bug("several ranks need a rendezvous");
  try {
    auto gloo = c10d::ProcessGroupGloo::Options::create();
    gloo->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(options.address));
    gloo->threads = 1;
    gloo->timeout = options.timeout;
    auto store = c10::make_intrusive<RendezvousStore>(*rendezvous, options.timeout);
    auto group = std::make_unique<c10d::ProcessGroupGloo>(store, options.rank, options.ranks, gloo);
    return std::unique_ptr<RankGroup>(std::make_unique<GlooGroup>(options, std::move(group)));
  } catch (const std::exception& error) {
    std::string text = error.what();
    text = text.substr(0, text.find('\n'));
    return Error{Cause::unreachable, fmt::format("rank {} of {} at {} did not find the other ranks: {}",
                                                 options.rank, options.ranks, options.address, text)};
  }
}

}  // namespace gnnflow
