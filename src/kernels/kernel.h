#pragma once

#include <bnq/cpu.h>
#include <bnq/dtype.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bnq::detail {

/// The order in which a matrix kernel wants its weight codes. Outputs are cut into panels of `panel_outputs`; in a
/// panel the depth runs outermost, and each group of the depth is padded with zero codes to `depth_multiple`.
///
///   rows  one output a panel: its codes, one signed byte each
///   t8    64 outputs a panel. Per 4 codes of depth: 64 x 4 signed bytes, output by output:
///         byte 4 * o + j = code of output o at depth 4 * step + j
///   t2    64 outputs a panel. Per 16 codes of depth: 64 x 4 bytes of four 2-bit fields, code + 1:
///         byte 4 * o + j, bits 2f and 2f + 1 = code of output o at depth 16 * step + 4 * f + j
///
/// The last panel of t8 and t2 holds as many multiples of 16 outputs as are needed. So one 32-bit lane is one output: a
/// kernel broadcasts four activations to all lanes, and no sum runs across lanes.
///
/// Two forms are layouts, whose bytes a kernel reads where they lie, so that weights are in memory once:
///
///   u2_hf  docs/formats/u2_hf.rst. A panel is 16 byte rows: output 16 * f + i of a panel is field f of its byte row i,
///          which is output f * outputs / 4 + 16 * panel + i of the layer
///   i8     docs/formats/i8.rst. A panel is 64 rows
enum class TileKind : std::uint8_t { rows, t8, t2, u2_hf, i8 };

struct TileForm {
  TileKind kind;
  std::int64_t panel_outputs;
  std::int64_t depth_multiple;   ///< of the activations where the weights lie as a layout has them, which is not padded
  const char* layout = nullptr;  ///< whose bytes are read in place; null where codes are regrouped
};

inline constexpr TileForm tile_rows{TileKind::rows, 1, 1};
inline constexpr TileForm tile_t8{TileKind::t8, 64, 4};
inline constexpr TileForm tile_t2{TileKind::t2, 64, 16};
inline constexpr TileForm tile_u2_hf{TileKind::u2_hf, 64, 64, "u2_hf"};
inline constexpr TileForm tile_i8{TileKind::i8, 64, 4, "i8"};
inline constexpr std::int64_t vector_outputs = 16;  ///< outputs of a last panel are padded to a multiple of this

/// Weights in the order of a kernel, and what stands beside them. Arrays by panel are [panels, groups, panel_outputs].
struct TileView {
  const std::byte* codes;
  const float* scales;       ///< by panel
  const std::int32_t* sums;  ///< by panel: sum of a group's codes; null where a layout is read whose kernel needs none
  const float* bias;         ///< [panels, panel_outputs], or null
  std::int64_t outputs;
  std::int64_t groups;        ///< 0 when the depth is 0
  std::int64_t group_stride;  ///< codes a group takes, padding included
  std::int64_t panel_bytes;   ///< of every panel but the last, which may be shorter; 0 where a layout is read
  std::int64_t depth;         ///< codes of a row, without padding
  std::int64_t group_size;    ///< of every group but the last, which may be shorter
};

/// What a matrix kernel is given: all tokens by the outputs of panels [first_panel, last_panel). Pointers are valid and
/// lengths right: Linear has checked them.
struct GemmArguments {
  const std::int8_t* activations;       ///< [tokens, groups * group_stride], zero in the padding, xor activation_xor
  const float* activation_scales;       ///< [tokens]; NaN for a token that is not finite
  const std::int32_t* activation_sums;  ///< [tokens, groups]: sums of the codes (before the xor)
  std::int64_t tokens;
  TileView tile;
  std::int64_t first_panel;
  std::int64_t last_panel;
  void* y;  ///< [tokens, outputs] of y_dtype, the whole result; written at this call's outputs
  DType y_dtype;
  std::byte* workspace;  ///< Kernel::workspace_bytes of it, this call's own, aligned to 64
};

/// What decides whether a kernel can compute a layer.
struct GemmProblem {
  int min_code;  ///< of the weights
  int max_code;
  std::int64_t group_size;       ///< codes of the longest exact sum
  std::int64_t groups = 1;       ///< of an output
  std::string_view layout = {};  ///< of the weights where they are packed
};

/// One operation on one instruction set. `run` is noexcept, allocates nothing, starts no thread, and gives the bits
/// that include/bnq/linear.h promises; the scalar kernel is what that means.
struct Kernel {
  const char* op;  ///< "gemm_i8_t2": int8 activations by weights in tile t2
  Isa isa;
  std::int64_t tile_tokens;
  std::int64_t tile_outputs;
  TileForm tile;
  std::uint8_t activation_xor;  ///< 0x80 where the activations are the unsigned operand, code + 128
  /// Why this kernel cannot compute the layer, or null.
  const char* (*refusal)(const GemmProblem& problem);
  std::size_t (*workspace_bytes)(std::int64_t tokens, const TileView& tile);
  void (*run)(const GemmArguments& arguments) noexcept;

  [[nodiscard]] std::string name() const;  ///< "gemm_i8_t2/avx512vnni/6x64"
};

/// The magnitudes of one block of a granule: up to 4096 values.
struct Magnitudes {
  float absmax;          ///< NaN or infinity when a value is one: then the others mean nothing
  float absmin_nonzero;  ///< infinity when all are zero
  double sum;            ///< in 16 lanes, folded as docs/schemes.rst, "Means", says
};

/// How values become codes: clamp(rint(value op factor), low, high), half to even, op a true division or a product. A
/// quotient is at most 128 in magnitude, by the caller's choice of the factor.
struct CodeRule {
  float factor;
  int low;
  int high;
};

/// What quantizing does to elements of one dtype that lie side by side, aligned. All arithmetic is that of the values
/// widened to float32.
struct RowOperations {
  /// Largest magnitude; NaN or infinity when a value is one.
  float (*absmax)(const void* values, std::int64_t count) noexcept;
  Magnitudes (*magnitudes)(const void* values, std::int64_t count) noexcept;
  double (*sum)(const void* values, std::int64_t count) noexcept;  ///< of a block, in the order of Magnitudes::sum
  void (*divide)(const void* values, std::int64_t count, const CodeRule& rule, std::int8_t* codes) noexcept;
  void (*multiply)(const void* values, std::int64_t count, const CodeRule& rule, std::int8_t* codes) noexcept;
  void (*widen)(const void* values, std::int64_t count, float* out) noexcept;
};

/// The same on one instruction set for each dtype that can be quantized. Same bits as scalar.
struct RowKernels {
  Isa isa;
  RowOperations f32;
  RowOperations f16;
  RowOperations bf16;
  /// The sum of codes that lie side by side; then each of them is xored with `bits`.
  std::int32_t (*sum_and_flip)(std::int8_t* codes, std::int64_t count, std::uint8_t bits) noexcept;

  [[nodiscard]] const RowOperations& of(DType dtype) const noexcept {
    return dtype == DType::f32 ? f32 : dtype == DType::f16 ? f16 : bf16;
  }
};

/// What the machine gives on one instruction set when nothing else is done: the probes behind measure_roofs().
struct RoofProbes {
  Isa isa;
  std::int64_t products_a_round;  ///< int8 products that a round of `multiply` makes
  /// Reads `bytes` bytes, a multiple of 4096, front to back, and says something that depends on all of them.
  std::uint64_t (*read)(const std::byte* from, std::size_t bytes) noexcept;
  /// Multiplies and sums int8 codes in registers (the scalar one: in the first-level cache).
  std::uint64_t (*multiply)(std::int64_t rounds) noexcept;
};

// One file each, in the folder of its instruction set.
extern const RoofProbes roofs_scalar;
extern const RoofProbes roofs_avx2;
extern const RoofProbes roofs_avx512vnni;
extern const RowKernels rows_scalar;
extern const RowKernels rows_avx2;
extern const RowKernels rows_avx512vnni;
extern const Kernel gemm_i8_i8_scalar;
extern const Kernel gemm_i8_t8_avx2;
extern const Kernel gemm_i8_t2_avx2;
extern const Kernel gemm_i8_t8_avx512vnni;
extern const Kernel gemm_i8_t2_avx512vnni;
extern const Kernel gemm_i8_i8_avx512vnni;
extern const Kernel gemm_i8_u2_hf_avx512vnni;

}  // namespace bnq::detail
