// What is made of sums, broadcasts and exchanges: text and numbers of all ranks.
#include "worker/trainer/rank_group.h"

#include <cstring>

#include "common/base/json.h"

namespace gnnflow {
namespace {

torch::Tensor bytes_of_text(const std::string& text) {
  auto tensor = torch::empty({static_cast<int64_t>(text.size())}, torch::kUInt8);
  if (!text.empty()) std::memcpy(tensor.data_ptr<uint8_t>(), text.data(), text.size());
  return tensor;
}

}  // namespace

Result<std::vector<std::string>> RankGroup::gather(const std::string& text, std::string_view what) {
  if (ranks() == 1) return std::vector<std::string>{text};
  const auto own = bytes_of_text(text);
  const auto size = own.size(0);
  std::vector<int64_t> counts(static_cast<size_t>(ranks()), size);
  TRY(const Rows all, exchange(own.repeat({ranks()}), counts, what));
  std::vector<std::string> texts;
  const auto* at = reinterpret_cast<const char*>(all.rows.data_ptr<uint8_t>());
  for (const int64_t count : all.counts) {
    texts.emplace_back(at, static_cast<size_t>(count));
    at += count;
  }
  return texts;
}

Result<std::string> RankGroup::broadcast(const std::string& text, std::string_view what) {
  if (ranks() == 1) return text;
  auto size = torch::tensor({static_cast<int64_t>(text.size())}, torch::kInt64);
  TRY(broadcast(size, what));
  auto bytes = rank() == 0 ? bytes_of_text(text) : torch::empty({size.item<int64_t>()}, torch::kUInt8);
  if (bytes.size(0) > 0) TRY(broadcast(bytes, what));
  return std::string(reinterpret_cast<const char*>(bytes.data_ptr<uint8_t>()),
                     static_cast<size_t>(bytes.size(0)));
}

Result<RankGroup::Texts> RankGroup::broadcast(Texts texts, std::string_view what) {
  if (ranks() == 1) return texts;
  Json::Array names;
  for (const auto& [name, text] : texts) names.push_back(name);
  TRY(const std::string listed, broadcast(Json(names).dump(), what));
  TRY(const Json all, Json::parse(listed));
  Texts received;
  for (const Json& name : all.array()) {
    TRY(received[name.string()], broadcast(texts[name.string()], what));
  }
  return received;
}

Result<std::vector<int64_t>> RankGroup::gather(int64_t number, std::string_view what) {
  auto numbers = torch::zeros({ranks()}, torch::kInt64);
  numbers[rank()] = number;
  TRY(sum(numbers, what));
  const auto* first = numbers.data_ptr<int64_t>();
  return std::vector<int64_t>(first, first + ranks());
}

}  // namespace gnnflow
