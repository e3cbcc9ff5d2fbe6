// Encodes, writes and reads checkpoints.
#include "worker/trainer/checkpoint.h"

#include <algorithm>
#include <cstdio>
#include <set>

#include <fcntl.h>
#include <fmt/format.h>

#include "common/base/digest.h"
#include "common/base/text.h"
#include "worker/trainer/safetensors.h"

namespace gnnflow {
namespace {

constexpr int64_t kVersion = 1;
constexpr const char* kIndex = "checkpoint.json";
constexpr const char* kWeights = "model.safetensors";
constexpr const char* kOptimizer = "optimizer.safetensors";
constexpr const char* kBest = "best.safetensors";

std::string encode_weights(const std::vector<ParameterInfo>& parameters, std::span<const float> flat,
                           int64_t epoch) {
  std::vector<NamedTensor> tensors;
  size_t at = 0;
  for (const ParameterInfo& one : parameters) {
    const auto count = static_cast<size_t>(one.count());
    tensors.push_back({one.name, one.shape, flat.subspan(at, count)});
    at += count;
  }
  return encode_safetensors(tensors, {{"format", "gnnflow"}, {"epoch", std::to_string(epoch)}});
}

Result<std::vector<float>> decode_weights(const std::vector<ParameterInfo>& parameters,
                                          std::string_view bytes, std::string_view where) {
  TRY(const auto file, decode_safetensors(bytes, where));
  std::vector<float> flat;
  for (const ParameterInfo& one : parameters) {
    const auto found = file.tensors.find(one.name);
    if (found == file.tensors.end() || found->second.shape != one.shape) {
      return Error{Cause::bad_data,
                   fmt::format("{}: tensor '{}' is missing or has another shape", where, one.name)};
    }
    flat.insert(flat.end(), found->second.values.begin(), found->second.values.end());
  }
  if (file.tensors.size() != parameters.size()) {
    return Error{Cause::bad_data, fmt::format("{}: has {} tensors, the model {}", where, file.tensors.size(),
                                              parameters.size())};
  }
  return flat;
}

std::string encode_optimizer(const OptimizerState& state) {
  std::vector<NamedTensor> tensors;
  tensors.push_back({"first", {static_cast<int64_t>(state.first.size())}, state.first});
  tensors.push_back({"second", {static_cast<int64_t>(state.second.size())}, state.second});
  return encode_safetensors(tensors, {});
}

Status decode_optimizer(std::string_view bytes, std::string_view where, size_t weights,
                        OptimizerState& state) {
  TRY(auto file, decode_safetensors(bytes, where));
  for (const auto& [name, into] : {std::pair{"first", &state.first}, std::pair{"second", &state.second}}) {
    const auto found = file.tensors.find(name);
    if (found == file.tensors.end())
      return Error{Cause::bad_data, fmt::format("{}: tensor '{}' is missing", where, name)};
    *into = std::move(found->second.values);
    if (!into->empty() && into->size() != weights) {
      return Error{Cause::bad_data, fmt::format("{}: tensor '{}' has {} values, the model {}", where, name,
                                                into->size(), weights)};
    }
  }
  return {};
}

Json::Array list_of(std::span<const int64_t> numbers) {
  Json::Array list;
  for (const int64_t one : numbers) list.push_back(one);
  return list;
}

Json index_of(const Checkpoint& c) {
  Json json;
  json["format"] = "gnnflow-checkpoint";
  json["version"] = kVersion;
  json["epoch"] = c.epoch;
  json["step"] = c.step;
  json["model"] = c.model;
  json["options"] = c.options;
  json["fanout"] = list_of(std::vector<int64_t>(c.fanout.begin(), c.fanout.end()));
  json["batch"] = c.batch;
  json["seed"] = static_cast<int64_t>(c.seed);
  json["inputs"] = c.shape.inputs;
  json["classes"] = c.shape.classes;
  Json::Array parameters;
  for (const ParameterInfo& one : c.parameters) {
    Json entry;
    entry["name"] = one.name;
    entry["shape"] = list_of(one.shape);
    parameters.push_back(entry);
  }
  json["parameters"] = parameters;
  json["optimizer_steps"] = c.optimizer.steps;
  json["best_epoch"] = c.best_epoch;
  json["best_accuracy"] = c.best_accuracy;
  json["history"] = c.history;
  json["products"] = c.products;
  json["machine"] = c.machine;
  return json;
}

Status read_parameters(const Json& list, std::string_view where, std::vector<ParameterInfo>& parameters) {
  for (const Json& entry : list.array()) {
    Fields fields(entry, where);
    ParameterInfo info;
    info.name = fields.text("name");
    int64_t count = 1;
    for (const Json& one : fields.list("shape").array()) {
      if (!one.is_integer() || one.integer() < 0 || __builtin_mul_overflow(count, one.integer(), &count)) {
        return Error{Cause::bad_data, fmt::format("{}: bad shape of parameter '{}'", where, info.name)};
      }
      info.shape.push_back(one.integer());
    }
    TRY(fields.finish());
    parameters.push_back(std::move(info));
  }
  return {};
}

Result<Json> read_index(const std::string& text, std::string_view where, Checkpoint& c) {
  TRY(const Json json, Json::parse(text).within(where));
  Fields fields(json, where);
  if (fields.text("format") != "gnnflow-checkpoint") fields.fail("this is no checkpoint");
  if (const int64_t version = fields.integer("version"); version != kVersion) {
    fields.fail(fmt::format("version {} is not {}, the one this program reads", version, kVersion));
  }
  c.epoch = fields.integer("epoch");
  c.step = fields.integer("step");
  c.model = fields.map("model");
  c.options = fields.map("options");
  for (const Json& one : fields.list("fanout").array()) {
    if (!one.is_integer()) fields.fail("fanout must hold integers");
    c.fanout.push_back(one.is_integer() ? static_cast<int>(one.integer()) : 0);
  }
  c.batch = fields.integer("batch");
  c.seed = static_cast<uint64_t>(fields.integer("seed"));
  c.shape = {fields.integer("inputs"), fields.integer("classes")};
  const Json parameters = fields.list("parameters");
  c.optimizer.steps = fields.integer("optimizer_steps");
  c.best_epoch = fields.integer("best_epoch");
  c.best_accuracy = fields.number("best_accuracy");
  c.history = fields.list("history").array();
  c.products = fields.map("products");
  c.machine = fields.map("machine");
  const Json files = fields.map("files");
  TRY(fields.finish());
  TRY(read_parameters(parameters, where, c.parameters));
  return files;
}

Status check_files(const Json& listed, const CheckpointFiles& files, std::string_view where) {
  Fields all(listed, fmt::format("{}/{}: files", where, kIndex));
  for (const char* name : {kWeights, kOptimizer, kBest}) {
    Fields entry(all.map(name), fmt::format("{}/{}: files: {}", where, kIndex, name));
    const int64_t bytes = entry.integer("bytes");
    const std::string digest = entry.text("digest");
    TRY(entry.finish());
    const auto found = files.find(name);
    if (found == files.end()) return Error{Cause::bad_data, fmt::format("{}: {} is missing", where, name)};
    if (bytes != static_cast<int64_t>(found->second.size())) {
      return Error{Cause::bad_data,
                   fmt::format("{}/{}: has {} bytes, not {}", where, name, found->second.size(), bytes)};
    }
    if (digest_of(found->second) != digest) {
      return Error{Cause::bad_data,
                   fmt::format("{}/{}: its content is not what checkpoint.json says", where, name)};
    }
  }
  return all.finish();
}

// Both folders change places in one step, so that `target` is whole at every moment. Some file systems of
// networks cannot; there it is missing for a moment.
Status replace(const fs::path& target, const fs::path& fresh) {
  if (::renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) == 0) {
    TRY(sync_folder(target.parent_path()));
    TRY(sync_folder(fresh.parent_path()));
    return remove_tree(fresh);
  }
  const fs::path aside = fresh.string() + ".old";
  TRY(remove_tree(aside));
  TRY(rename_durably(target, aside));
  TRY(rename_durably(fresh, target));
  return remove_tree(aside);
}

}  // namespace

CheckpointFiles encode_checkpoint(const Checkpoint& c) {
  CheckpointFiles files;
  files[kWeights] = encode_weights(c.parameters, c.weights, c.epoch);
  files[kOptimizer] = encode_optimizer(c.optimizer);
  files[kBest] = c.best_epoch > 0 ? encode_weights(c.parameters, c.best_weights, c.best_epoch)
                                  : encode_safetensors({}, {});
  Json index = index_of(c);
  for (const auto& [name, bytes] : files) {
    Json entry;
    entry["bytes"] = static_cast<int64_t>(bytes.size());
    entry["digest"] = digest_of(bytes);
    index["files"][name] = entry;
  }
  files[kIndex] = index.dump_pretty() + "\n";
  return files;
}

Result<Checkpoint> decode_checkpoint(const CheckpointFiles& files, std::string_view where) {
  const auto index = files.find(kIndex);
  if (index == files.end()) return Error{Cause::bad_data, fmt::format("{}: {} is missing", where, kIndex)};
  Checkpoint c;
  TRY(const Json listed, read_index(index->second, fmt::format("{}/{}", where, kIndex), c));
  TRY(check_files(listed, files, where));
  TRY(c.weights, decode_weights(c.parameters, files.at(kWeights), fmt::format("{}/{}", where, kWeights)));
  TRY(decode_optimizer(files.at(kOptimizer), fmt::format("{}/{}", where, kOptimizer), c.weights.size(),
                       c.optimizer));
  if (c.best_epoch > 0) {
    TRY(c.best_weights, decode_weights(c.parameters, files.at(kBest), fmt::format("{}/{}", where, kBest)));
  }
  return c;
}

Result<CheckpointFiles> read_checkpoint_files(const fs::path& folder) {
  CheckpointFiles files;
  for (const char* name : {kIndex, kWeights, kOptimizer, kBest}) {
    TRY(files[name], read_file(folder / name, int64_t{1} << 36));
  }
  return files;
}

Result<Checkpoint> read_checkpoint(const fs::path& folder) {
  TRY(const auto files, read_checkpoint_files(folder));
  return decode_checkpoint(files, folder.string());
}

Status write_checkpoint_files(const fs::path& folder, const CheckpointFiles& files) {
  TRY(remove_tree(folder));
  TRY(create_folders(folder));
  const auto write = [&](const std::string& name, const std::string& bytes) -> Status {
    TRY(auto writer, FileWriter::create(folder / name));
    TRY(writer.write(bytes));
    return writer.finish();
  };
  for (const auto& [name, bytes] : files) {
    if (name != kIndex) TRY(write(name, bytes));
  }
  TRY(write(kIndex, files.at(kIndex)));
  return sync_folder(folder);
}

Result<fs::path> publish_checkpoint(const Checkpoint& checkpoint, const fs::path& temporary,
                                    const fs::path& checkpoints) {
  TRY(write_checkpoint_files(temporary, encode_checkpoint(checkpoint)));
  TRY(create_folders(checkpoints));
  const fs::path target = checkpoints / std::to_string(checkpoint.epoch);
  std::error_code error;
  if (fs::exists(target, error)) {
    // Of an attempt that went further than the checkpoint we were resumed from.
    TRY(replace(target, temporary));
  } else {
    TRY(rename_durably(temporary, target));
  }
  return target;
}

Status remove_old_checkpoints(const fs::path& checkpoints, int64_t epoch, int64_t best_epoch) {
  std::set<int64_t> there;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(checkpoints, error)) {
    const auto number = parse_integer(entry.path().filename().string());
    if (number) there.insert(*number);
  }
  int kept = 0;
  for (auto it = there.rbegin(); it != there.rend(); ++it) {
    if (*it > epoch) continue;  // not ours to judge: the controller takes none above the wanted epoch
    if (kept < 2 || *it == best_epoch) {
      kept += *it == best_epoch && kept >= 2 ? 0 : 1;
      continue;
    }
    TRY(remove_tree(checkpoints / std::to_string(*it)));
  }
  return {};
}

}  // namespace gnnflow
