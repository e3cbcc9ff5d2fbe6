// What a user may set for `train` and `evaluate`: plain structs, read strictly from the step's options.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/json.h"
#include "common/base/result.h"

namespace gnnflow {

enum class SeedOrder {
  local,
  global
};  // each rank its own part's, or one order of the whole graph cut over the ranks

struct SampleSettings {
  std::vector<int> fanout;  // layer nearest the input first; empty: as the model needs (-1 each)
  int64_t batch = 1024;
  SeedOrder seeds = SeedOrder::local;
};

enum class OptimizerKind { sgd, adam, adamw };

struct OptimizerSettings {
  OptimizerKind kind = OptimizerKind::adam;
  double lr = 0.01;
  double weight_decay = 0;
  double momentum = 0;                                // sgd
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;  // adam, adamw
};

struct EarlyStop {
  int64_t patience = 0;  // epochs without a better validation accuracy; 0: never
};

struct TrainOptions {
  Json model;  // {kind, ...}: read by the model named (models/registry.h)
  SampleSettings sample;
  OptimizerSettings optimizer;
  int64_t epochs = 10;
  uint64_t seed = 1;
  EarlyStop early_stop;

  // What decides the weights, apart from how long training goes on: compared on resume.
  Json resume_identity() const;
};
Result<TrainOptions> read_train_options(const Json& options);

enum class EvaluateHow { full, sampled };
struct EvaluateOptions {
  EvaluateHow how = EvaluateHow::full;
  std::string split = "test";  // the one named first in the result
};
Result<EvaluateOptions> read_evaluate_options(const Json& options);

// `unknown option 'hiden' of model 'sage'; did you mean 'hidden'?` for the first key of `map` that is not
// known.
Status check_option_names(const Json& map, std::string_view of_what, const std::vector<std::string>& known);

// Typed members of an options map; the first fault is kept and told by status(). All errors are bad_workflow.
class OptionReader {
 public:
  OptionReader(const Json& map, std::string of_what);
  int64_t integer(std::string_view name, int64_t otherwise, int64_t least, int64_t most);
  double number(std::string_view name, double otherwise, double least, double most);
  // One of `choices`; returns its position.
  size_t choice(std::string_view name, size_t otherwise, const std::vector<std::string>& choices);
  std::vector<int> fanout(std::string_view name);
  Status status() const;  // also refuses names that nobody asked for
 private:
  const Json* find(std::string_view name);
  void fail(std::string message);
  const Json& map_;
  std::string of_what_;
  std::vector<std::string> known_;
  std::optional<Error> first_;
};

}  // namespace gnnflow
