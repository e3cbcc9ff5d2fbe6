// A prepared batch through a model, and what is counted of the result.
#pragma once

#include "worker/trainer/batch_pipeline.h"
#include "worker/trainer/models/model.h"

namespace gnnflow {

// [seeds, classes]. The batch must live until the backward pass is over. REQUIRES: the batch has seeds.
Result<torch::Tensor> forward(const Model& model, const LoaderOptions& loader, const PreparedBatch& batch,
                              bool training);

// The class with the highest score in each row; the lowest class at a tie.
std::vector<int32_t> predictions_of(const torch::Tensor& scores);
int64_t count_correct(std::span<const int32_t> predictions, std::span<const int32_t> labels);

// Rows of each layer's destinations in a full batch, by the fan-outs: what products are chosen for.
std::vector<int64_t> expected_destinations(const Model& model, std::span<const int> fanout, int64_t batch,
                                           int64_t nodes);

}  // namespace gnnflow
