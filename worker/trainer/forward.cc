// Layer after layer over the blocks of a batch.
#include "worker/trainer/forward.h"

#include <algorithm>

namespace gnnflow {

Result<torch::Tensor> forward(const Model& model, const LoaderOptions& loader, const PreparedBatch& batch,
                              bool training) {
  torch::Tensor rows;
  if (!loader.table) {
    const auto inputs = static_cast<int64_t>(batch.batch.inputs().size());
    rows = torch::from_blob(const_cast<float*>(batch.rows.data()), {inputs, loader.columns}, torch::kFloat32);
  }
  for (int layer = 0; layer < model.layers(); ++layer) {
    LayerInput input;
    input.rows = rows;
    input.training = training;
    input.seed = batch.key.seed;
    input.step = batch.key.step;
    if (model.uses_neighbours()) {
      input.block = BlockView::of(batch.batch.blocks[static_cast<size_t>(layer)]);
      input.originals = batch.originals[static_cast<size_t>(layer)];
      if (layer == 0 && loader.table) {
        input.table = &*loader.table;
        input.self = batch.batch.inputs();
      }
    } else {
      input.originals = batch.originals[0];
    }
    TRY(rows, model.layer(layer, input));
  }
  return rows;
}

std::vector<int32_t> predictions_of(const torch::Tensor& scores) {
  const auto dense = scores.detach().contiguous();
  const int64_t classes = dense.size(1);
  const float* row = dense.data_ptr<float>();
  std::vector<int32_t> predictions(static_cast<size_t>(dense.size(0)));
  for (int32_t& one : predictions) {
    one = static_cast<int32_t>(std::max_element(row, row + classes) - row);
    row += classes;
  }
  return predictions;
}

int64_t count_correct(std::span<const int32_t> predictions, std::span<const int32_t> labels) {
  int64_t correct = 0;
  for (size_t i = 0; i < predictions.size(); ++i) correct += predictions[i] == labels[i] ? 1 : 0;
  return correct;
}

std::vector<int64_t> expected_destinations(const Model& model, std::span<const int> fanout, int64_t batch,
                                           int64_t nodes) {
  constexpr int64_t kOfAll = 32;  // a guess for whole rows
  const auto layers = static_cast<size_t>(model.layers());
  std::vector<int64_t> rows(layers, std::min(batch, nodes));
  if (!model.uses_neighbours()) return rows;
  for (size_t layer = layers - 1; layer-- > 0;) {
    const int64_t drawn = fanout[layer + 1] < 0 ? kOfAll : fanout[layer + 1];
    rows[layer] = std::min(nodes, rows[layer + 1] * (drawn + 1));
  }
  return rows;
}

}  // namespace gnnflow
