// A multi-layer perceptron: the control that sees no neighbours.
#include <cmath>

#include <fmt/format.h>

#include "worker/trainer/models/registry.h"
#include "worker/trainer/options.h"

namespace gnnflow {
namespace {

class Mlp final : public Model {
 public:
  Mlp(const ModelShape& shape, int64_t layers, int64_t hidden, double dropout) : dropout_(dropout) {
    widths_.push_back(shape.inputs);
    for (int64_t l = 1; l < layers; ++l) widths_.push_back(hidden);
    widths_.push_back(shape.classes);
    for (size_t l = 0; l + 1 < widths_.size(); ++l) {
      const double bound = std::sqrt(6.0 / static_cast<double>(widths_[l] + widths_[l + 1]));
      parameters_.push_back({fmt::format("layers.{}.weight", l), {widths_[l + 1], widths_[l]}, bound});
      parameters_.push_back({fmt::format("layers.{}.bias", l), {widths_[l + 1]}, 0});
    }
  }

  int layers() const override { return static_cast<int>(widths_.size()) - 1; }
  bool uses_neighbours() const override { return false; }
  int64_t width(int layer) const override { return widths_[static_cast<size_t>(layer) + 1]; }
  const std::vector<ParameterInfo>& parameters() const override { return parameters_; }
  std::vector<ProductShape> products(std::span<const int64_t> destinations) const override {
    std::vector<ProductShape> shapes;
    for (size_t l = 0; l + 1 < widths_.size(); ++l)
      shapes.push_back({destinations[l], widths_[l], widths_[l + 1]});
    return shapes;
  }

  Result<torch::Tensor> layer(int layer, const LayerInput& input) const override {
    Activation activation;
    if (layer + 1 < layers()) {
      activation.relu = true;
      if (input.training && dropout_ > 0) {
        activation.dropout = {dropout_, dropout_key(input.seed, input.step, layer), input.originals};
      }
    }
    const auto at = 2 * static_cast<size_t>(layer);
    return linear(input.rows, weights_[at], weights_[at + 1], *products_, activation);
  }

 private:
  double dropout_;
  std::vector<int64_t> widths_;
  std::vector<ParameterInfo> parameters_;
};

}  // namespace

Result<std::unique_ptr<Model>> make_mlp(const Json& options, const ModelShape& shape) {
  OptionReader reader(options, "model 'mlp'");
  (void)reader.choice("kind", 0, {"mlp"});
  const int64_t layers = reader.integer("layers", 2, 1, 64);
  const int64_t hidden = reader.integer("hidden", 256, 1, 1 << 16);
  const double dropout = reader.number("dropout", 0, 0, 0.99);
  TRY(reader.status());
  return std::unique_ptr<Model>(std::make_unique<Mlp>(shape, layers, hidden, dropout));
}

}  // namespace gnnflow
