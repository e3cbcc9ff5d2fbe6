// Autograd functions over blocks. Forward and backward of an aggregation are the same kernel: a sum of rows
// that a list of offsets and rows names. The result [n, 2D] is read backward as 2n rows of D: row 2i is the
// gradient of node i itself, row 2i + 1 that of its mean, so the gradient of a source is one sum over the
// transposed list.
#include "worker/trainer/ops/block_ops.h"

#include <atomic>
#include <vector>

#include <fmt/format.h>

namespace gnnflow {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kRowsPerTask = 256;
constexpr int64_t kRowsPerSum = 1024;  // partial sums over rows: their bounds do not depend on threads

RowTable table_of(const torch::Tensor& x, int64_t rows, int64_t columns) {
  return {reinterpret_cast<const std::byte*>(x.data_ptr<float>()), rows, columns, RowType::f32};
}

// out [n, stride] from `table`; the position of an id out of range, or -1.
int64_t parallel_sum(const RowTable& table, const BlockView& block, bool mean, float* out, int64_t stride) {
  std::atomic<int64_t> fault = -1;
  at::parallel_for(0, block.destinations(), kRowsPerTask, [&](int64_t begin, int64_t end) {
    const auto offsets =
        block.offsets.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin) + 1);
    const int64_t bad = kernels().sum(table, offsets, block.sources, mean, out + begin * stride, stride);
    if (bad >= 0) fault = bad;
  });
  return fault;
}

int64_t parallel_gather(const RowTable& table, std::span<const int32_t> ids, float* out, int64_t stride) {
  std::atomic<int64_t> fault = -1;
  at::parallel_for(0, static_cast<int64_t>(ids.size()), kRowsPerTask, [&](int64_t begin, int64_t end) {
    const auto some = ids.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
    const int64_t bad = kernels().gather(table, some, out + begin * stride, stride);
    if (bad >= 0) fault = begin + bad;
  });
  return fault;
}

void copy_left_halves(const float* x, float* pairs, int64_t rows, int64_t columns) {
  at::parallel_for(0, rows, kRowsPerTask, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      std::copy_n(x + row * columns, columns, pairs + 2 * row * columns);
  });
}

// For each of `sources` rows: which rows of the pairs (2i: itself, 2i + 1: the mean of i) it goes into,
// ascending by i.
struct Transposed {
  std::vector<int32_t> offsets, pairs;
};
Transposed transposed(const BlockView& block, int64_t sources) {
  const int64_t destinations = block.destinations();
  Transposed out;
  out.offsets.assign(static_cast<size_t>(sources) + 1, 0);
  out.pairs.resize(block.sources.size() + static_cast<size_t>(destinations));
  for (int64_t i = 0; i < destinations; ++i) ++out.offsets[static_cast<size_t>(i) + 1];
  for (const int32_t source : block.sources) ++out.offsets[static_cast<size_t>(source) + 1];
  for (size_t i = 1; i < out.offsets.size(); ++i) out.offsets[i] += out.offsets[i - 1];
  std::vector<int32_t> next(out.offsets.begin(), out.offsets.end() - 1);
  for (int64_t i = 0; i < destinations; ++i) {
    out.pairs[static_cast<size_t>(next[static_cast<size_t>(i)]++)] = static_cast<int32_t>(2 * i);
  }
  for (int64_t i = 0; i < destinations; ++i) {
    for (int32_t e = block.offsets[static_cast<size_t>(i)]; e < block.offsets[static_cast<size_t>(i) + 1];
         ++e) {
      const int32_t source = block.sources[static_cast<size_t>(e)];
      out.pairs[static_cast<size_t>(next[static_cast<size_t>(source)]++)] = static_cast<int32_t>(2 * i + 1);
    }
  }
  return out;
}

torch::Tensor gradient_of_sources(const torch::Tensor& gradient, const BlockView& block, int64_t sources) {
  const int64_t columns = gradient.size(1) / 2;
  auto pairs = gradient.clone(at::MemoryFormat::Contiguous);
  at::parallel_for(0, block.destinations(), kRowsPerTask, [&](int64_t begin, int64_t end) {
    divide_right_halves(pairs.data_ptr<float>(), block.offsets, begin, end, columns);
  });
  const Transposed lists = transposed(block, sources);
  auto out = torch::empty({sources, columns});
  const BlockView view{lists.offsets, lists.pairs};
  if (parallel_sum(table_of(pairs, 2 * block.destinations(), columns), view, false, out.data_ptr<float>(),
                   columns) >= 0) {
    bug("a transposed block names a row that is not there");
  }
  return out;
}

struct SelfAndMean : torch::autograd::Function<SelfAndMean> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x, BlockView block) {
    context->saved_data["offsets"] = reinterpret_cast<int64_t>(block.offsets.data());
    context->saved_data["sources"] = reinterpret_cast<int64_t>(block.sources.data());
    context->saved_data["destinations"] = block.destinations();
    context->saved_data["edges"] = static_cast<int64_t>(block.sources.size());
    context->saved_data["rows"] = x.size(0);
    const int64_t columns = x.size(1), rows = block.destinations();
    const auto dense = x.contiguous();
    auto out = torch::empty({rows, 2 * columns});
    copy_left_halves(dense.data_ptr<float>(), out.data_ptr<float>(), rows, columns);
    const auto table = table_of(dense, x.size(0), columns);
    if (parallel_sum(table, block, true, out.data_ptr<float>() + columns, 2 * columns) >= 0) {
      bug("a relabelled block names a row that is not there");
    }
    return out;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto number = [&](const char* name) { return context->saved_data[name].toInt(); };
    const BlockView block{
        {reinterpret_cast<const int32_t*>(number("offsets")),
         static_cast<size_t>(number("destinations")) + 1},
        {reinterpret_cast<const int32_t*>(number("sources")), static_cast<size_t>(number("edges"))}};
    return {gradient_of_sources(gradients[0], block, number("rows")), torch::Tensor()};
  }
};

void activate(torch::Tensor& z, const torch::Tensor& bias, const Activation& activation) {
  at::parallel_for(0, z.size(0), kRowsPerTask, [&](int64_t begin, int64_t end) {
    bias_and_activate(z.data_ptr<float>(), bias.data_ptr<float>(), begin, end, z.size(1), activation);
  });
}

// Returns the gradient before the activation, and that of the bias: sums of kRowsPerSum rows, then of these
// in order.
std::pair<torch::Tensor, torch::Tensor> before_activation(const torch::Tensor& gradient,
                                                          const torch::Tensor& activated, float scale) {
  const int64_t rows = gradient.size(0), columns = gradient.size(1);
  const int64_t tasks = (rows + kRowsPerSum - 1) / kRowsPerSum;
  auto partial = torch::zeros({std::max<int64_t>(tasks, 1), columns});
  const bool masked = activated.defined();
  auto out = masked ? torch::empty_like(gradient) : gradient;
  const float* from = gradient.data_ptr<float>();
  const float* mask = masked ? activated.data_ptr<float>() : nullptr;
  at::parallel_for(0, tasks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      gradient_before_activation(mask, from, scale, masked ? out.data_ptr<float>() : nullptr,
                                 partial.data_ptr<float>() + task * columns, task * kRowsPerSum,
                                 std::min(rows, (task + 1) * kRowsPerSum), columns);
    }
  });
  auto sums = torch::zeros({columns});
  gradient_before_activation(nullptr, partial.data_ptr<float>(), 1.0f, nullptr, sums.data_ptr<float>(), 0,
                             partial.size(0), columns);
  return {out, sums};
}

struct Linear : torch::autograd::Function<Linear> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x, const torch::Tensor& weight,
                               const torch::Tensor& bias, const Products* products, Activation activation) {
    const ProductShape shape{x.size(0), x.size(1), weight.size(0)};
    const auto dense = x.contiguous();
    auto out = torch::empty({shape.rows, shape.outputs});
    products->forward(dense.data_ptr<float>(), weight.data_ptr<float>(), out.data_ptr<float>(), shape);
    activate(out, bias, activation);
    context->saved_data["products"] = reinterpret_cast<int64_t>(products);
    context->saved_data["relu"] = activation.relu;
    const double p = activation.dropout.probability;
    context->saved_data["scale"] = static_cast<double>(p > 0 ? dropout_scale(p) : 1.0f);
    context->saved_data["needs_x"] = x.requires_grad();
    context->save_for_backward({dense, weight, activation.relu ? out : torch::Tensor()});
    return out;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const torch::Tensor &x = saved[0], &weight = saved[1];
    const auto* products = reinterpret_cast<const Products*>(context->saved_data["products"].toInt());
    const auto scale = static_cast<float>(context->saved_data["scale"].toDouble());
    const auto [gradient, bias] = before_activation(gradients[0].contiguous(), saved[2], scale);
    const ProductShape shape{x.size(0), x.size(1), weight.size(0)};
    auto weights = torch::empty({shape.outputs, shape.inputs});
    products->weights(gradient.data_ptr<float>(), x.data_ptr<float>(), weights.data_ptr<float>(), shape);
    torch::Tensor inputs;
    if (context->saved_data["needs_x"].toBool()) {
      inputs = torch::empty({shape.rows, shape.inputs});
      products->inputs(gradient.data_ptr<float>(), weight.data_ptr<float>(), inputs.data_ptr<float>(), shape);
    }
    return {inputs, weights, bias, torch::Tensor(), torch::Tensor()};
  }
};

}  // namespace

torch::Tensor self_and_mean(const torch::Tensor& x, const BlockView& block) {
  return SelfAndMean::apply(x, block);
}

Result<torch::Tensor> self_and_mean_of_table(const RowTable& table, std::span<const int32_t> self,
                                             const BlockView& block) {
  const int64_t rows = block.destinations(), columns = table.columns;
  auto out = torch::empty({rows, 2 * columns});
  const auto refuse = [&](int32_t id) {
    return Error{Cause::bad_data,
                 fmt::format("node {} is outside of the feature table of {} rows", id, table.rows)};
  };
  if (const int64_t bad = parallel_gather(table, self, out.data_ptr<float>(), 2 * columns); bad >= 0) {
    return refuse(self[static_cast<size_t>(bad)]);
  }
  if (const int64_t bad = parallel_sum(table, block, true, out.data_ptr<float>() + columns, 2 * columns);
      bad >= 0) {
    return refuse(block.sources[static_cast<size_t>(bad)]);
  }
  return out;
}

torch::Tensor linear(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                     const Products& products, const Activation& activation) {
  return Linear::apply(x, weight, bias, &products, activation);
}

}  // namespace gnnflow
