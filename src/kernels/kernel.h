#pragma once

#include <bnq/cpu.h>

#include <cstdint>
#include <string>

namespace bnq::detail {

/// What a matrix kernel is given. Pointers are valid and lengths right: Linear has checked them.
/// [outputs, depth] weight codes in the kernel's tile, [depth] activation codes a token.
struct GemmArguments {
  const std::int8_t* activations;  ///< one token's codes, [depth]
  float activation_scale;          ///< NaN for a token that is not finite
  const std::int8_t* weights;      ///< row-major [outputs, depth]
  const float* weight_scales;      ///< scale of group g of output n: [n * scale_stride + g]
  std::int64_t scale_stride;       ///< 0: one scale for all outputs
  std::int64_t groups;             ///< scales an output: 1 unless the granularity is group(n); 0 when depth is 0
  std::int64_t group_size;         ///< codes a group; the last may be shorter
  std::int64_t depth;
  const float* bias;          ///< [outputs], or null
  std::int64_t first_output;  ///< this call computes outputs [first_output, last_output)
  std::int64_t last_output;
  float* y;  ///< y[0] is output first_output
};

/// One operation on one instruction set. `run` is noexcept, allocates nothing, starts no thread, and gives the bits
/// that include/bnq/linear.h promises; the scalar kernel is what that means.
struct Kernel {
  const char* op;  ///< "gemm_i8_i8": int8 activations by int8 weights
  Isa isa;
  std::int64_t tile_tokens;
  std::int64_t tile_outputs;
  void (*run)(const GemmArguments& arguments) noexcept;

  [[nodiscard]] std::string name() const;  ///< "gemm_i8_i8/scalar/1x1"
};

// One file each, in the folder of its instruction set.
extern const Kernel gemm_i8_i8_scalar;

}  // namespace bnq::detail
