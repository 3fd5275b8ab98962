// int8 activations by int8 weights, one output at a time: what every other kernel has to equal, bit for bit.

#include "core/float16.h"
#include "kernels/kernel.h"

#include <cstring>

namespace bnq::detail {
namespace {

std::int32_t dot(const std::int8_t* a, const std::int8_t* b, std::int64_t count) noexcept {
  std::int32_t sum = 0;  // exact: Linear has checked the depth
  for (std::int64_t k = 0; k < count; ++k) sum += static_cast<std::int32_t>(a[k]) * static_cast<std::int32_t>(b[k]);
  return sum;
}

/// float(acc_0) * s_0 + float(acc_1) * s_1 + …, left to right.
float weighted_sum(const TileView& tile, const std::int8_t* activations, std::int64_t output) noexcept {
  const auto* weights = reinterpret_cast<const std::int8_t*>(tile.codes) + output * tile.groups * tile.group_stride;
  const float* scales = tile.scales + output * tile.groups;
  float sum = 0;
  for (std::int64_t g = 0; g < tile.groups; ++g) {
    const std::int64_t begin = g * tile.group_stride;
    const float term = static_cast<float>(dot(activations + begin, weights + begin, tile.group_stride)) * scales[g];
    sum = g == 0 ? term : sum + term;
  }
  return sum;
}

/// `y` may stand at any address.
template <typename Bits>
void put(void* y, std::int64_t at, Bits bits) noexcept {
  std::memcpy(static_cast<std::byte*>(y) + at * static_cast<std::int64_t>(sizeof bits), &bits, sizeof bits);
}

void store(const GemmArguments& a, std::int64_t at, float value) noexcept {
  if (a.y_dtype == DType::f16) return put(a.y, at, f32_to_f16(value));
  if (a.y_dtype == DType::bf16) return put(a.y, at, f32_to_bf16(value));
  put(a.y, at, value != value ? f32_quiet_nan : std::bit_cast<std::uint32_t>(value));
}

void run(const GemmArguments& a) noexcept {
  const std::int64_t stride = a.tile.groups * a.tile.group_stride;
  for (std::int64_t token = 0; token < a.tokens; ++token) {
    for (std::int64_t n = a.first_panel; n < a.last_panel; ++n) {
      const float y = weighted_sum(a.tile, a.activations + token * stride, n) * a.activation_scales[token];
      store(a, token * a.tile.outputs + n, a.tile.bias == nullptr ? y : y + a.tile.bias[n]);
    }
  }
}

const char* refusal(const GemmProblem& /*problem*/) { return nullptr; }

std::size_t workspace_bytes(std::int64_t /*tokens*/, const TileView& /*tile*/) { return 0; }

}  // namespace

constinit const Kernel gemm_i8_i8_scalar{.op = "gemm_i8_i8",
                                         .isa = Isa::scalar,
                                         .tile_tokens = 1,
                                         .tile_outputs = 1,
                                         .tile = tile_rows,
                                         .activation_xor = 0,
                                         .refusal = refusal,
                                         .workspace_bytes = workspace_bytes,
                                         .run = run};

}  // namespace bnq::detail
