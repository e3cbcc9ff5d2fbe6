// GraphSAGE with the mean: W [own row, mean of the neighbours' rows] + b, then ReLU and dropout between
// layers.
#include <cmath>

#include <fmt/format.h>

#include "worker/trainer/models/registry.h"
#include "worker/trainer/options.h"

namespace gnnflow {
namespace {

// `layers.<l>.weight` is [out, 2 * in]: the left half is for the node's own row, the right one for the mean.
class Sage final : public Model {
 public:
  Sage(const ModelShape& shape, int64_t layers, int64_t hidden, double dropout) : dropout_(dropout) {
    widths_.push_back(shape.inputs);
    for (int64_t l = 1; l < layers; ++l) widths_.push_back(hidden);
    widths_.push_back(shape.classes);
    for (size_t l = 0; l + 1 < widths_.size(); ++l) {
      const double bound = std::sqrt(6.0 / static_cast<double>(widths_[l] + widths_[l + 1]));
      parameters_.push_back({fmt::format("layers.{}.weight", l), {widths_[l + 1], 2 * widths_[l]}, bound});
      parameters_.push_back({fmt::format("layers.{}.bias", l), {widths_[l + 1]}, 0});
    }
  }

  int layers() const override { return static_cast<int>(widths_.size()) - 1; }
  bool uses_neighbours() const override { return true; }
  int64_t width(int layer) const override { return widths_[static_cast<size_t>(layer) + 1]; }
  const std::vector<ParameterInfo>& parameters() const override { return parameters_; }
  std::vector<ProductShape> products(std::span<const int64_t> destinations) const override {
    std::vector<ProductShape> shapes;
    for (size_t l = 0; l + 1 < widths_.size(); ++l)
      shapes.push_back({destinations[l], 2 * widths_[l], widths_[l + 1]});
    return shapes;
  }

  Result<torch::Tensor> layer(int layer, const LayerInput& input) const override {
    torch::Tensor pairs;
    if (input.table != nullptr) {
      TRY(pairs, self_and_mean_of_table(*input.table, input.self, *input.block));
    } else {
      pairs = self_and_mean(input.rows, *input.block);
    }
    Activation activation;
    if (layer + 1 < layers()) {
      activation.relu = true;
      if (input.training && dropout_ > 0) {
        activation.dropout = {dropout_, dropout_key(input.seed, input.step, layer), input.originals};
      }
    }
    const auto at = 2 * static_cast<size_t>(layer);
    return linear(pairs, weights_[at], weights_[at + 1], *products_, activation);
  }

 private:
  double dropout_;
  std::vector<int64_t> widths_;
  std::vector<ParameterInfo> parameters_;
};

}  // namespace

Result<std::unique_ptr<Model>> make_sage(const Json& options, const ModelShape& shape) {
  OptionReader reader(options, "model 'sage'");
  (void)reader.choice("kind", 0, {"sage"});
  const int64_t layers = reader.integer("layers", 2, 1, 16);
  const int64_t hidden = reader.integer("hidden", 256, 1, 1 << 16);
  (void)reader.choice("aggregate", 0, {"mean"});
  const double dropout = reader.number("dropout", 0, 0, 0.99);
  TRY(reader.status());
  return std::unique_ptr<Model>(std::make_unique<Sage>(shape, layers, hidden, dropout));
}

}  // namespace gnnflow
