// The three products of a linear layer by oneDNN or by libtorch's BLAS, and the measurement that chooses
// between them.
#include "worker/trainer/ops/products.h"

#include <algorithm>
#include <array>
#include <vector>

#include <dlfcn.h>
#include <fmt/format.h>
#include <oneapi/dnnl/dnnl.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "worker/trainer/torch_compat.h"

namespace gnnflow {
namespace {

constexpr std::array<std::string_view, 3> kKindNames = {"forward", "weights", "inputs"};
constexpr std::array<std::string_view, 2> kLibraryNames = {"onednn", "blas"};
constexpr double kClearlyFaster = 0.6;   // of oneDNN's time
constexpr double kWorthMeasuring = 2e7;  // multiplications; below, the call itself decides
constexpr int64_t kMostRows = 16384;     // more say nothing new
constexpr int kRepetitions = 4, kRounds = 3;

std::string key_of(ProductKind kind, const ProductShape& shape) {
  return fmt::format("{} {}x{}", kKindNames[static_cast<size_t>(kind)], shape.inputs, shape.outputs);
}

// The functions of oneDNN that are used; null where the library is not there.
struct OneDnn {
  decltype(&dnnl_sgemm) sgemm = nullptr;
  decltype(&dnnl_version) version = nullptr;
};

const OneDnn& onednn() {
  static const OneDnn found = [] {
#if GNNFLOW_LOAD_ONEDNN
    OneDnn loaded;
    for (const char* name : {"libdnnl.so.3", "libdnnl.so.2"}) {
      void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
      if (library == nullptr) continue;
      loaded.sgemm = reinterpret_cast<decltype(loaded.sgemm)>(dlsym(library, "dnnl_sgemm"));
      loaded.version = reinterpret_cast<decltype(loaded.version)>(dlsym(library, "dnnl_version"));
      if (loaded.sgemm != nullptr && loaded.version != nullptr) return loaded;
    }
    return OneDnn{};
#else
    return OneDnn{&dnnl_sgemm, &dnnl_version};
#endif
  }();
  return found;
}

struct Operand {
  const float* data;
  int64_t rows, columns;
  bool transposed;
};

// out [m, n] = op(a) op(b)
void multiply(ProductLibrary library, const Operand& a, const Operand& b, float* out) {
  const int64_t m = a.transposed ? a.columns : a.rows;
  const int64_t k = a.transposed ? a.rows : a.columns;
  const int64_t n = b.transposed ? b.rows : b.columns;
  if (m == 0 || n == 0) return;
  if (k == 0) return std::fill(out, out + m * n, 0.0f), void();
  if (library == ProductLibrary::onednn && onednn().sgemm != nullptr) {
    const auto status = onednn().sgemm(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', m, n, k, 1.0f,
                                       a.data, a.columns, b.data, b.columns, 0.0f, out, n);
    if (status != dnnl_success) bug(fmt::format("oneDNN refused a product of {} x {} x {}", m, k, n));
    return;
  }
  const torch::NoGradGuard no_grad;
  const auto tensor = [](const Operand& one) {
    auto whole = torch::from_blob(const_cast<float*>(one.data), {one.rows, one.columns}, torch::kFloat32);
    return one.transposed ? whole.t() : whole;
  };
  auto result = torch::from_blob(out, {m, n}, torch::kFloat32);
  at::mm_out(result, tensor(a), tensor(b));
}

void run(ProductLibrary library, ProductKind kind, const float* first, const float* second, float* out,
         const ProductShape& s) {
  switch (kind) {
    case ProductKind::forward:
      return multiply(library, {first, s.rows, s.inputs, false}, {second, s.outputs, s.inputs, true}, out);
    case ProductKind::weights:
      return multiply(library, {first, s.rows, s.outputs, true}, {second, s.rows, s.inputs, false}, out);
    case ProductKind::inputs:
      return multiply(library, {first, s.rows, s.outputs, false}, {second, s.outputs, s.inputs, false}, out);
  }
}

double seconds(ProductLibrary library, ProductKind kind, const ProductShape& s) {
  const int64_t largest = std::max({s.rows * s.inputs, s.rows * s.outputs, s.inputs * s.outputs});
  const auto first = torch::full({largest}, 0.5f), second = torch::full({largest}, 0.25f);
  auto out = torch::empty({largest});
  double best = 1e9;
  for (int i = 0; i < kRepetitions; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run(library, kind, first.data_ptr<float>(), second.data_ptr<float>(), out.data_ptr<float>(), s);
    const double one = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (i > 0) best = std::min(best, one);  // the first one makes code and threads
  }
  return best;
}

}  // namespace

Products Products::choose(std::span<const ProductShape> shapes) {
  struct Trial {
    ProductKind kind;
    ProductShape shape;
    bool blas;  // still: not yet refuted by a round
    double onednn = 0, other = 0;
  };
  std::vector<Trial> trials;
  const bool has_onednn = onednn().sgemm != nullptr;
  for (ProductShape shape : shapes) {
    shape.rows = std::min(shape.rows, kMostRows);
    const double size = static_cast<double>(shape.rows) * static_cast<double>(shape.inputs * shape.outputs);
    for (const auto kind : {ProductKind::forward, ProductKind::weights, ProductKind::inputs}) {
      trials.push_back({kind, shape, !has_onednn || size >= kWorthMeasuring});
    }
  }
  // BLAS must win in every round: what else runs on the machine slows one of the two now and then, and a
  // choice made by chance would change the bits of the weights.
  for (int round = 0; round < kRounds && has_onednn; ++round) {
    // One library after the other: threads of the one that still wait actively would disturb the other.
    for (Trial& trial : trials) {
      if (trial.blas) trial.onednn = seconds(ProductLibrary::onednn, trial.kind, trial.shape);
    }
    for (Trial& trial : trials) {
      if (!trial.blas) continue;
      trial.other = seconds(ProductLibrary::blas, trial.kind, trial.shape);
      trial.blas = trial.other < kClearlyFaster * trial.onednn;
    }
  }
  Products products;
  for (const Trial& trial : trials) {
    products.set(trial.kind, trial.shape, trial.blas ? ProductLibrary::blas : ProductLibrary::onednn);
    const double billions =
        2e-9 * static_cast<double>(trial.shape.rows * trial.shape.inputs * trial.shape.outputs);
    if (trial.other > 0) {
      log_info("product {} of {} rows: oneDNN {:.0f} GFLOP/s, BLAS {:.0f}: {}",
               key_of(trial.kind, trial.shape), trial.shape.rows, billions / trial.onednn,
               billions / trial.other, trial.blas ? "BLAS" : "oneDNN");
    }
  }
  return products;
}

Result<Products> Products::from_json(const Json& json, std::string_view where) {
  Products products;
  if (!json.is_object()) return Error{Cause::bad_data, fmt::format("{}: 'products' must be a map", where)};
  for (const auto& [key, value] : json.object()) {
    const auto known =
        std::find(kLibraryNames.begin(), kLibraryNames.end(), value.is_string() ? value.string() : "");
    if (known == kLibraryNames.end()) {
      return Error{Cause::bad_data,
                   fmt::format("{}: unknown library {} of product '{}'", where, value.dump(), key)};
    }
    products.table_[key] = static_cast<ProductLibrary>(known - kLibraryNames.begin());
  }
  return products;
}

Json Products::to_json() const {
  Json json{Json::Object{}};
  for (const auto& [key, library] : table_)
    json[key] = std::string(kLibraryNames[static_cast<size_t>(library)]);
  return json;
}

ProductLibrary Products::library(ProductKind kind, const ProductShape& shape) const {
  const auto found = table_.find(key_of(kind, shape));
  return found == table_.end() ? ProductLibrary::onednn : found->second;
}
void Products::set(ProductKind kind, const ProductShape& shape, ProductLibrary library) {
  table_[key_of(kind, shape)] = library;
}

void Products::forward(const float* x, const float* w, float* out, const ProductShape& shape) const {
  run(library(ProductKind::forward, shape), ProductKind::forward, x, w, out, shape);
}
void Products::weights(const float* g, const float* x, float* out, const ProductShape& shape) const {
  run(library(ProductKind::weights, shape), ProductKind::weights, g, x, out, shape);
}
void Products::inputs(const float* g, const float* w, float* out, const ProductShape& shape) const {
  run(library(ProductKind::inputs, shape), ProductKind::inputs, g, w, out, shape);
}

std::string onednn_version() {
  if (onednn().version == nullptr) return "none";
  const dnnl_version_t* version = onednn().version();
  return fmt::format("{}.{}.{}", version->major, version->minor, version->patch);
}

void set_compute_threads(int threads) {
  at::set_num_threads(threads);
  // OpenBLAS has threads of its own, which torch's setting does not reach everywhere.
  using SetThreads = void (*)(int);
  if (auto set = reinterpret_cast<SetThreads>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"))) set(threads);
}

}  // namespace gnnflow
