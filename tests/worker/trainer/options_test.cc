// Every mistake in the options of `train` has its message.
#include "worker/trainer/options.h"

#include <gtest/gtest.h>

#include "worker/trainer/models/registry.h"

namespace gnnflow {
namespace {

std::string refusal(std::string_view text) {
  const auto read = read_train_options(*Json::parse(text));
  if (read) return "accepted";
  EXPECT_EQ(read.error().cause, Cause::bad_workflow);
  return read.error().message;
}
std::string model_refusal(std::string_view text, ModelShape shape = {5, 3}) {
  const auto made = make_model(*Json::parse(text), shape);
  return made ? "accepted" : made.error().message;
}

TEST(TrainOptions, AreReadWithTheirDefaults) {
  const auto options = read_train_options(*Json::parse(
      R"({"model": {"kind": "sage"}, "sample": {"fanout": [15, -1], "seeds": "global"}, "servers": "x",
          "optimizer": {"kind": "adamw", "lr": 0.1}, "early_stop": {"metric": "val_accuracy", "patience": 3}})"));
  ASSERT_TRUE(options) << options.error().message;
  EXPECT_EQ(options->sample.fanout, (std::vector<int>{15, -1}));
  EXPECT_EQ(options->sample.seeds, SeedOrder::global);
  EXPECT_EQ(options->sample.batch, 1024);
  EXPECT_EQ(options->optimizer.kind, OptimizerKind::adamw);
  EXPECT_EQ(options->epochs, 10);
  EXPECT_EQ(options->early_stop.patience, 3);
}

TEST(TrainOptions, SayWhatIsWrongAndWhatWouldBeRight) {
  EXPECT_EQ(refusal(R"({})"), "train needs `model: { kind: ... }`");
  EXPECT_EQ(refusal(R"({"model": {"kind": "sage"}, "sample": {"fanuot": [1]}})"),
            "unknown option 'fanuot' of 'sample'; did you mean 'fanout'?");
  EXPECT_EQ(refusal(R"({"model": {"kind": "sage"}, "sample": {"fanout": [5, 0]}})"),
            "option 'fanout' of 'sample' must be a list of integers from 1 to 1024, or -1 for all, not 0");
  EXPECT_EQ(refusal(R"({"model": {"kind": "sage"}, "sample": {"batch": 0}})"),
            "option 'batch' of 'sample' must be an integer from 1 to 16777216, not 0");
  EXPECT_EQ(refusal(R"({"model": {"kind": "sage"}, "optimizer": {"kind": "adma"}})"),
            "unknown kind 'adma' of 'optimizer'; did you mean 'adam'?");
  EXPECT_EQ(
      refusal(R"({"model": {"kind": "sage"}, "optimizer": {"momentum": 0.9}})"),
      "unknown option 'momentum' of 'optimizer'; it has: kind, lr, weight_decay, beta1, beta2, epsilon");
  EXPECT_EQ(refusal(R"({"model": {"kind": "sage"}, "early_stop": {"metric": "loss"}})"),
            "unknown metric 'loss' of 'early_stop'; one of: val_accuracy");
  EXPECT_EQ(refusal(R"({"model": {"kind": "sage"}, "precision": "bf16"})"),
            "precision bf16 is not there yet; write `precision: f32`");
  EXPECT_EQ(refusal(R"({"model": {"kind": "sage"}, "precision": "f64"})"),
            "unknown precision \"f64\"; write `precision: f32`");
  EXPECT_EQ(refusal(R"({"model": {"kind": "sage"}, "epochs": 0})"),
            "epochs must be an integer of at least 1, not 0");
  EXPECT_EQ(refusal(R"({"model": {"kind": "sage"}, "sample": 3})"), "'sample' must be a map, not integer");
}

TEST(Models, SayWhatIsWrongAndWhatWouldBeRight) {
  EXPECT_EQ(model_refusal(R"({"kind": "sage", "hiden": 16})"),
            "unknown option 'hiden' of model 'sage'; did you mean 'hidden'?");
  EXPECT_EQ(model_refusal(R"({"kind": "mlp", "aggregate": "mean"})"),
            "unknown option 'aggregate' of model 'mlp'; it has: kind, layers, hidden, dropout");
  EXPECT_EQ(model_refusal(R"({"kind": "sgae"})"), "unknown model 'sgae'; did you mean 'sage'?");
  EXPECT_EQ(model_refusal(R"({"kind": "transformer"})"), "unknown model 'transformer'; one of: sage, mlp");
  EXPECT_EQ(model_refusal(R"({"kind": "sage", "layers": "two"})"),
            "option 'layers' of model 'sage' must be an integer from 1 to 16, not \"two\"");
  EXPECT_EQ(model_refusal(R"({"kind": "sage", "dropout": 1})"),
            "option 'dropout' of model 'sage' must be a number from 0 to 0.99, not 1");
  EXPECT_EQ(model_refusal(R"({"kind": "sage"})", {0, 3}), "the graph has no features; a model needs some");
  EXPECT_EQ(model_refusal(R"({"kind": "sage"})", {5, 0}),
            "the graph has no classes; a model needs integer labels");
}

TEST(Models, BeginWithTheSameWeightsForASeed) {
  const auto begin = [](uint64_t seed) {
    const auto model = *make_model(*Json::parse(R"({"kind": "sage", "hidden": 4})"), {5, 3});
    Weights weights(model->parameters());
    weights.initialise(seed);
    return std::vector<float>(weights.values().begin(), weights.values().end());
  };
  EXPECT_EQ(begin(1), begin(1));
  EXPECT_NE(begin(1), begin(2));
  const auto first = begin(1);
  EXPECT_EQ(first.size(), 4u * 10 + 4 + 3 * 8 + 3);
  EXPECT_EQ(first[40], 0) << "biases begin at zero";
  EXPECT_LT(*std::max_element(first.begin(), first.end()), 1.0f);
  EXPECT_GT(*std::max_element(first.begin(), first.end()), 0.3f);
}

TEST(EvaluateOptions, SayWhatIsWrong) {
  EXPECT_EQ(read_evaluate_options(*Json::parse(R"({"how": "fast"})")).error().message,
            "unknown how 'fast' of evaluate; one of: full, sampled");
  EXPECT_EQ(read_evaluate_options(*Json::parse(R"({"split": "tset"})")).error().message,
            "unknown split 'tset' of evaluate; one of: train, val, test");
}

}  // namespace
}  // namespace gnnflow
