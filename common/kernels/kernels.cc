// The choice of a kernel set, and what all sets share.
#include "common/kernels/kernels.h"

#include <array>
#include <bit>
#include <cstdio>
#include <cstdlib>

namespace gnnflow {
namespace {

#if defined(__x86_64__)
bool can_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c"); }
bool can_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl");
}
#endif

const Kernels& choose() {
  const auto sets = all_kernels();
  const char* wanted = std::getenv("GNNFLOW_KERNELS");
  if (wanted == nullptr || *wanted == '\0') return *sets.back();
  for (const Kernels* set : sets) {
    if (set->name == wanted) return *set;
  }
  std::fprintf(stderr, "GNNFLOW_KERNELS=%s: this CPU has no such kernels; it has", wanted);
  for (const Kernels* set : sets)
    std::fprintf(stderr, " %.*s", static_cast<int>(set->name.size()), set->name.data());
  std::fputs("\n", stderr);
  std::exit(2);
}

}  // namespace

std::span<const Kernels* const> all_kernels() {
  static const std::vector<const Kernels*> sets = [] {
    std::vector<const Kernels*> all{&kPlainKernels};
#if defined(__x86_64__)
    if (can_avx2()) all.push_back(&kAvx2Kernels);
    if (can_avx512()) all.push_back(&kAvx512Kernels);
#endif
    return all;
  }();
  return sets;
}

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

int64_t bytes_of(RowType type) {
  switch (type) {
    case RowType::f32:
      return 4;
    case RowType::f16:
    case RowType::bf16:
      return 2;
    case RowType::u8:
      return 1;
  }
  return 0;
}

float float_of_half(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t exponent = half >> 10 & 0x1F;
  const uint32_t fraction = half & 0x3FF;
  if (exponent == 0x1F) {  // infinity, or NaN made quiet as the CPU does
    return std::bit_cast<float>(sign | 0x7F800000 | fraction << 13 | (fraction != 0 ? 0x400000u : 0u));
  }
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}

uint16_t half_of_float(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 16 & 0x8000;
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) return static_cast<uint16_t>(sign | 0x7E00 | (magnitude >> 13 & 0x3FF));
  if (magnitude >= 0x477FF000) return static_cast<uint16_t>(sign | 0x7C00);  // 65520 and more
  if (magnitude < 0x38800000) {  // below the least normal: the addition rounds at 2^-24, to even
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(0.5f)));
  }
  const uint32_t odd = magnitude >> 13 & 1;
  return static_cast<uint16_t>(sign | (magnitude + 0xFFF + odd - (112u << 23)) >> 13);
}

}  // namespace gnnflow
