// Matrix products through the faster of the libraries found: chosen once per training and shape, kept in the
// checkpoint.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "common/base/json.h"
#include "common/base/result.h"

namespace gnnflow {

enum class ProductLibrary { onednn, blas };  // blas: libtorch's own

// The three products of a linear layer with weights W [outputs, inputs], X [rows, inputs], G [rows, outputs].
enum class ProductKind { forward, weights, inputs };  // X W^T, G^T X, G W

struct ProductShape {
  int64_t rows = 0;  // about: of a typical batch
  int64_t inputs = 0;
  int64_t outputs = 0;
};

// A table from (kind, inputs, outputs) to a library. What is not in it goes through oneDNN. Immutable, any
// thread.
class Products {
 public:
  Products() = default;
  // Measures. oneDNN keeps a product unless the other is clearly faster: so that noise does not decide bits.
  static Products choose(std::span<const ProductShape> shapes);
  static Result<Products> from_json(const Json& json, std::string_view where);
  Json to_json() const;

  // Row-major and dense; `out` is overwritten.
  void forward(const float* x, const float* w, float* out, const ProductShape& shape) const;
  void weights(const float* g, const float* x, float* out, const ProductShape& shape) const;
  void inputs(const float* g, const float* w, float* out, const ProductShape& shape) const;

  ProductLibrary library(ProductKind kind, const ProductShape& shape) const;
  void set(ProductKind kind, const ProductShape& shape, ProductLibrary library);

 private:
  std::map<std::string, ProductLibrary> table_;  // "forward 200x256"
};

std::string onednn_version();  // "2.6.3"
// Threads of torch, of oneDNN (which shares OpenMP with it) and of libtorch's BLAS.
void set_compute_threads(int threads);

}  // namespace gnnflow
