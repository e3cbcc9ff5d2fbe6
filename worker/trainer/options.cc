// Reads the options of `train` and `evaluate`, each fault with what would be right.
#include "worker/trainer/options.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "common/base/text.h"
#include "common/sampler/pick.h"

namespace gnnflow {

Status check_option_names(const Json& map, std::string_view of_what, const std::vector<std::string>& known) {
  if (map.is_null()) return {};
  if (!map.is_object())
    return Error{Cause::bad_workflow, fmt::format("{} must be a map, not {}", of_what, map.type_name())};
  for (const auto& [name, value] : map.object()) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const auto near = nearest(name, known);
    return Error{
        Cause::bad_workflow,
        near ? fmt::format("unknown option '{}' of {}; did you mean '{}'?", name, of_what, *near)
             : fmt::format("unknown option '{}' of {}; it has: {}", name, of_what, join(known, ", "))};
  }
  return {};
}

OptionReader::OptionReader(const Json& map, std::string of_what) : map_(map), of_what_(std::move(of_what)) {}

const Json* OptionReader::find(std::string_view name) {
  known_.emplace_back(name);
  return map_.has(name) ? &map_.get(name) : nullptr;
}

void OptionReader::fail(std::string message) {
  if (!first_) first_ = Error{Cause::bad_workflow, std::move(message)};
}

int64_t OptionReader::integer(std::string_view name, int64_t otherwise, int64_t least, int64_t most) {
  const Json* value = find(name);
  if (value == nullptr) return otherwise;
  if (!value->is_integer() || value->integer() < least || value->integer() > most) {
    fail(fmt::format("option '{}' of {} must be an integer from {} to {}, not {}", name, of_what_, least,
                     most, value->dump()));
    return otherwise;
  }
  return value->integer();
}

double OptionReader::number(std::string_view name, double otherwise, double least, double most) {
  const Json* value = find(name);
  if (value == nullptr) return otherwise;
  if (!value->is_number() || !(value->number() >= least && value->number() <= most)) {
    fail(fmt::format("option '{}' of {} must be a number from {} to {}, not {}", name, of_what_, least, most,
                     value->dump()));
    return otherwise;
  }
  return value->number();
}

size_t OptionReader::choice(std::string_view name, size_t otherwise,
                            const std::vector<std::string>& choices) {
  const Json* value = find(name);
  if (value == nullptr) return otherwise;
  const std::string text = value->is_string() ? value->string() : value->dump();
  const auto found = std::find(choices.begin(), choices.end(), text);
  if (found != choices.end()) return static_cast<size_t>(found - choices.begin());
  const auto near = nearest(text, choices);
  fail(near ? fmt::format("unknown {} '{}' of {}; did you mean '{}'?", name, text, of_what_, *near)
            : fmt::format("unknown {} '{}' of {}; one of: {}", name, text, of_what_, join(choices, ", ")));
  return otherwise;
}

std::vector<int> OptionReader::fanout(std::string_view name) {
  const Json* value = find(name);
  std::vector<int> fanout;
  if (value == nullptr) return fanout;
  const auto refuse = [&](const Json& bad) {
    fail(fmt::format("option '{}' of {} must be a list of integers from 1 to {}, or -1 for all, not {}", name,
                     of_what_, kMaxFanout, bad.dump()));
  };
  if (!value->is_array() || value->array().empty()) return refuse(*value), fanout;
  for (const Json& one : value->array()) {
    if (!one.is_integer() || one.integer() == 0 || one.integer() < -1 || one.integer() > kMaxFanout)
      return refuse(one), fanout;
    fanout.push_back(static_cast<int>(one.integer()));
  }
  return fanout;
}

Status OptionReader::status() const {
  TRY(check_option_names(map_, of_what_, known_));
  if (first_) return *first_;
  return {};
}

namespace {

Result<SampleSettings> read_sample(const Json& map) {
  OptionReader reader(map, "'sample'");
  SampleSettings sample;
  sample.fanout = reader.fanout("fanout");
  sample.batch = reader.integer("batch", sample.batch, 1, int64_t{1} << 24);
  sample.seeds = static_cast<SeedOrder>(reader.choice("seeds", 0, {"local", "global"}));
  TRY(reader.status());
  return sample;
}

Result<OptimizerSettings> read_optimizer(const Json& map) {
  OptionReader reader(map, "'optimizer'");
  OptimizerSettings optimizer;
  optimizer.kind = static_cast<OptimizerKind>(reader.choice("kind", 1, {"sgd", "adam", "adamw"}));
  optimizer.lr = reader.number("lr", optimizer.lr, 0, 1e6);
  optimizer.weight_decay = reader.number("weight_decay", 0, 0, 1e6);
  if (optimizer.kind == OptimizerKind::sgd) {
    optimizer.momentum = reader.number("momentum", 0, 0, 1);
  } else {
    optimizer.beta1 = reader.number("beta1", optimizer.beta1, 0, 0.999999);
    optimizer.beta2 = reader.number("beta2", optimizer.beta2, 0, 0.99999999);
    optimizer.epsilon = reader.number("epsilon", optimizer.epsilon, 0, 1);
  }
  TRY(reader.status());
  return optimizer;
}

Result<EarlyStop> read_early_stop(const Json& map) {
  EarlyStop stop;
  if (map.is_null()) return stop;
  OptionReader reader(map, "'early_stop'");
  (void)reader.choice("metric", 0, {"val_accuracy"});
  stop.patience = reader.integer("patience", 5, 1, 1'000'000);
  TRY(reader.status());
  return stop;
}

}  // namespace

Result<TrainOptions> read_train_options(const Json& options) {
  TrainOptions out;
  out.model = options.get("model");
  if (!out.model.is_object() || !out.model.get("kind").is_string()) {
    return Error{Cause::bad_workflow, "train needs `model: { kind: ... }`"};
  }
  TRY(out.sample, read_sample(options.get("sample")));
  TRY(out.optimizer, read_optimizer(options.get("optimizer")));
  TRY(out.early_stop, read_early_stop(options.get("early_stop")));
  const std::string precision{options.text_or("precision", "f32")};
  if (precision == "bf16") {
    return Error{Cause::bad_workflow, "precision bf16 is not there yet; write `precision: f32`"};
  }
  if (precision != "f32" || (options.has("precision") && !options.get("precision").is_string())) {
    return Error{Cause::bad_workflow, fmt::format("unknown precision {}; write `precision: f32`",
                                                  options.get("precision").dump())};
  }
  const auto integer = [&](const char* name, int64_t otherwise, int64_t least, int64_t* out_value) -> Status {
    *out_value = otherwise;
    if (!options.has(name)) return {};
    const Json& value = options.get(name);
    if (!value.is_integer() || value.integer() < least) {
      return Error{Cause::bad_workflow,
                   fmt::format("{} must be an integer of at least {}, not {}", name, least, value.dump())};
    }
    *out_value = value.integer();
    return {};
  };
  int64_t seed = 1;
  TRY(integer("epochs", 10, 1, &out.epochs));
  TRY(integer("seed", 1, 0, &seed));
  out.seed = static_cast<uint64_t>(seed);
  return out;
}

Json TrainOptions::resume_identity() const {
  Json json;
  json["model"] = model;
  Json::Array fanout;
  for (int one : sample.fanout) fanout.push_back(one);
  json["fanout"] = fanout;
  json["batch"] = sample.batch;
  json["seeds"] = sample.seeds == SeedOrder::local ? "local" : "global";
  json["optimizer"] = static_cast<int64_t>(optimizer.kind);
  json["lr"] = optimizer.lr;
  json["weight_decay"] = optimizer.weight_decay;
  json["momentum"] = optimizer.momentum;
  json["beta1"] = optimizer.beta1;
  json["beta2"] = optimizer.beta2;
  json["epsilon"] = optimizer.epsilon;
  json["seed"] = static_cast<int64_t>(seed);
  json["precision"] = "f32";
  return json;
}

Result<EvaluateOptions> read_evaluate_options(const Json& options) {
  EvaluateOptions out;
  const std::string how{options.text_or("how", "full")};
  if (how != "full" && how != "sampled") {
    return Error{Cause::bad_workflow,
                 fmt::format("unknown how '{}' of evaluate; one of: full, sampled", how)};
  }
  out.how = how == "full" ? EvaluateHow::full : EvaluateHow::sampled;
  out.split = options.text_or("split", "test");
  if (out.split != "train" && out.split != "val" && out.split != "test") {
    return Error{Cause::bad_workflow,
                 fmt::format("unknown split '{}' of evaluate; one of: train, val, test", out.split)};
  }
  return out;
}

}  // namespace gnnflow
