// int8 activations by int8 weights, one output at a time: what every other kernel has to equal, bit for bit.

#include "kernels/kernel.h"

#include <algorithm>

namespace bnq::detail {
namespace {

std::int32_t dot(const std::int8_t* a, const std::int8_t* b, std::int64_t count) noexcept {
  std::int32_t sum = 0;  // exact: Linear has checked the depth
  for (std::int64_t k = 0; k < count; ++k) sum += static_cast<std::int32_t>(a[k]) * static_cast<std::int32_t>(b[k]);
  return sum;
}

/// float(acc_0) * s_0 + float(acc_1) * s_1 + …, left to right.
float weighted_sum(const GemmArguments& a, std::int64_t output) noexcept {
  const std::int8_t* weights = a.weights + output * a.depth;
  const float* scales = a.weight_scales + output * a.scale_stride;
  float sum = 0;
  for (std::int64_t g = 0; g < a.groups; ++g) {
    const std::int64_t begin = g * a.group_size;
    const std::int64_t count = std::min(a.group_size, a.depth - begin);
    const float term = static_cast<float>(dot(a.activations + begin, weights + begin, count)) * scales[g];
    sum = g == 0 ? term : sum + term;
  }
  return sum;
}

void run(const GemmArguments& a) noexcept {
  for (std::int64_t n = a.first_output; n < a.last_output; ++n) {
    const float y = weighted_sum(a, n) * a.activation_scale;
    a.y[n - a.first_output] = a.bias == nullptr ? y : y + a.bias[n];
  }
}

}  // namespace

constinit const Kernel gemm_i8_i8_scalar{
    .op = "gemm_i8_i8", .isa = Isa::scalar, .tile_tokens = 1, .tile_outputs = 1, .run = run};

}  // namespace bnq::detail
