// A model as the trainer sees it: a list of parameters and layers that turn tensors into tensors.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/kernels/kernels.h"
#include "worker/trainer/ops/block_ops.h"
#include "worker/trainer/ops/products.h"
#include "worker/trainer/torch_compat.h"

namespace gnnflow {

struct ModelShape {
  int64_t inputs = 0;  // columns of the features
  int64_t classes = 0;
};

// Begins uniform in (-bound, bound) by the pick function (seed, name, position): the same everywhere. 0:
// zeros.
struct ParameterInfo {
  std::string name;
  std::vector<int64_t> shape;
  double bound = 0;
  int64_t count() const;
};

// What one layer reads. Models without neighbours get no block.
struct LayerInput {
  torch::Tensor rows;  // of the block's sources; or, for the first layer over unrelabelled leaves,
  const RowTable* table = nullptr;  // the table that the block's sources name,
  std::span<const int32_t> self;    // and the rows of the destinations in it
  std::optional<BlockView> block;
  // Dropout is on when training: a function of these and the original ids of the destinations.
  bool training = false;
  uint64_t seed = 0;
  int64_t step = 0;
  std::span<const int64_t> originals;
};

// Used by one thread. bind() comes first.
class Model {
 public:
  virtual ~Model() = default;
  virtual int layers() const = 0;
  virtual bool uses_neighbours() const = 0;    // then each layer reads a block
  virtual int64_t width(int layer) const = 0;  // columns of what layer `layer` gives
  virtual const std::vector<ParameterInfo>& parameters() const = 0;
  // The linear layers' products, for batches where layer l has destinations[l] rows.
  virtual std::vector<ProductShape> products(std::span<const int64_t> destinations) const = 0;
  virtual Result<torch::Tensor> layer(int layer, const LayerInput& input) const = 0;

  // Tensors in the order of parameters(), and the libraries for products; both outlive the model's use.
  void bind(std::vector<torch::Tensor> weights, const Products* products) {
    weights_ = std::move(weights);
    products_ = products;
  }

 protected:
  std::vector<torch::Tensor> weights_;
  const Products* products_ = nullptr;
};

// All weights in one flat buffer, gradients in another; models get views.
class Weights {
 public:
  // `beside`: floats after the gradients, so that they travel in one reduction.
  explicit Weights(const std::vector<ParameterInfo>& parameters, int64_t beside = 0);
  void initialise(uint64_t seed);
  std::vector<torch::Tensor> views() const { return views_; }  // leaves that gather their gradients in place
  std::span<float> values();
  std::span<float> gradients();
  std::span<float> beside();
  torch::Tensor gradients_and_beside() const { return gradients_; }
  const std::vector<ParameterInfo>& parameters() const { return parameters_; }

 private:
  std::vector<ParameterInfo> parameters_;
  torch::Tensor flat_, gradients_;
  std::vector<torch::Tensor> views_;
};

}  // namespace gnnflow
