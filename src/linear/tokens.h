#pragma once

#include <bnq/tensor.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace bnq::detail {

/// Activations as int8 codes and scales, in the caller's scratch.
struct Tokens {
  const std::int8_t* codes;  ///< [tokens, depth]
  const std::byte* scales;   ///< [tokens] floats, at any alignment

  /// NaN for a token that holds NaN or infinity, so that all its outputs are NaN.
  [[nodiscard]] float scale(std::int64_t token) const {
    float value = 0;
    std::memcpy(&value, scales + token * static_cast<std::int64_t>(sizeof value), sizeof value);
    return value;
  }
};

/// Bytes that `quantize_tokens` writes. Throws `invalid_argument` when the product overflows or tokens are negative.
[[nodiscard]] std::size_t token_bytes(std::int64_t tokens, std::int64_t depth);

/// x [..., depth] by BitNet's rule (core/token_scale.h), the codes of `quantize_activations`. Allocates nothing.
Tokens quantize_tokens(const TensorView& x, std::span<std::byte> scratch);

}  // namespace bnq::detail
