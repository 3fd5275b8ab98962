#pragma once

#include <bnq/tensor.h>

#include "linear/tile.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace bnq::detail {

/// Activations as int8 codes in the order of a tile, their sums and scales, in the caller's scratch.
struct Tokens {
  std::int8_t* codes;    ///< [tokens, padded_depth], xor `activation_xor`; zero codes in the padding
  std::int32_t* sums;    ///< [tokens, groups]: sums of the codes
  float* scales;         ///< [tokens]; NaN for a token that holds NaN or infinity, so that all its outputs are NaN
  std::byte* workspace;  ///< what is left of the scratch, aligned to 64
};

/// How a layer's kernels want activations.
struct TokenForm {
  const RowKernels& kernels;
  std::uint8_t activation_xor;
};

/// Bytes that `quantize_tokens` needs before the workspace. Throws `invalid_argument` when they overflow or `tokens` is
/// negative.
[[nodiscard]] std::size_t token_bytes(std::int64_t tokens, const Tile& tile);

/// x [..., depth] by BitNet's rule (core/token_scale.h), the codes of `quantize_activations`. Allocates nothing.
Tokens quantize_tokens(const TensorView& x, const Tile& tile, const TokenForm& form, std::span<std::byte> scratch);

}  // namespace bnq::detail
