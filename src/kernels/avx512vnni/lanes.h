#pragma once

// What the matrix kernels of this folder share. Everything stands in an unnamed namespace: each object keeps its own
// copy, so that no code compiled for this instruction set can be linked into a place that every CPU reaches.

#include "kernels/kernel.h"

#include <immintrin.h>

#if !defined(__AVX512VNNI__) || !defined(__AVX512BW__) || !defined(__AVX512VL__)
#error "compile this folder for AVX-512 VNNI, BW and VL"
#endif

namespace bnq::detail {
namespace {

constexpr unsigned most_vectors = 4;  // of 16 outputs: a panel
constexpr unsigned most_tokens = 6;   // 6 x 4 accumulators leave 8 of the 32 registers for operands

/// acc += u8 x s8, four products a lane. g++ 12 copies and spills accumulators around the intrinsic and loses half of
/// the speed; told that the register is updated in place, it does not. clang needs no such help.
inline void dot(__m512i& acc, __m512i unsigned_bytes, __m512i signed_bytes) noexcept {
#if defined(__GNUC__) && !defined(__clang__)
  __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(unsigned_bytes), "v"(signed_bytes));
#else
  acc = _mm512_dpbusd_epi32(acc, unsigned_bytes, signed_bytes);
#endif
}

/// Each 16-bit word. g++ and clang disagree on the sign of the count.
inline __m512i shift_right(__m512i words, unsigned bits) noexcept {
#if defined(__clang__)
  return _mm512_srli_epi16(words, bits);
#else
  return _mm512_srli_epi16(words, static_cast<int>(bits));
#endif
}

inline __m512i load(const std::byte* at) noexcept { return _mm512_loadu_si512(at); }

/// Has a line brought nearer; no memory is touched where there is none.
inline void ask_for(const void* at) noexcept { _mm_prefetch(static_cast<const char*>(at), _MM_HINT_T0); }

constexpr std::int64_t stream_ahead = 4096;  // bytes to ask for ahead in one stream that comes from memory

/// The first `count` bytes, up to 64.
inline __mmask64 first_bytes(std::int64_t count) noexcept {
  return count >= 64 ? ~__mmask64{0} : (__mmask64{1} << count) - 1;
}

/// Four codes of a token, in every lane.
inline __m512i broadcast(const std::int8_t* at) noexcept {
  std::int32_t four;
  __builtin_memcpy(&four, at, sizeof four);
  return _mm512_set1_epi32(four);
}

/// Values rounded to nearest even; the NaNs are canonical already.
inline __m256i narrow_bf16(__m512 values) noexcept {
  const __m512i bits = _mm512_castps_si512(values);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
  const __mmask16 nan = _mm512_cmp_ps_mask(values, values, _CMP_UNORD_Q);
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_mask_blend_epi32(nan, rounded, bits), 16));
}

/// Outputs of the layer that a vector holds: 16 from `first` on, or as many as are left.
struct Columns {
  std::int64_t first;
  std::int64_t left;
};

/// Writes a token's outputs.
inline void store(const GemmArguments& a, std::int64_t token, const Columns& columns, __m512 values) noexcept {
  const auto mask = static_cast<__mmask16>(columns.left >= vector_outputs ? 0xFFFF : (1 << columns.left) - 1);
  const std::int64_t at = token * a.tile.outputs + columns.first;
  const __mmask16 nan = _mm512_cmp_ps_mask(values, values, _CMP_UNORD_Q);
  values = _mm512_mask_mov_ps(values, nan, _mm512_castsi512_ps(_mm512_set1_epi32(0x7FC00000)));
  if (a.y_dtype == DType::f32) return _mm512_mask_storeu_ps(static_cast<float*>(a.y) + at, mask, values);
  const __m256i half = a.y_dtype == DType::f16 ? _mm512_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
                                               : narrow_bf16(values);
  _mm256_mask_storeu_epi16(static_cast<std::uint16_t*>(a.y) + at, mask, half);
}

/// Where a kernel stands: tokens [token, token + T) by the vectors of one panel.
struct Place {
  std::int64_t token;
  std::int64_t panel;

  /// Element of an array by panel: group `g`, vector `v`.
  [[nodiscard]] std::int64_t at(const TileView& tile, std::int64_t g, unsigned v) const noexcept {
    return (panel * tile.groups + g) * tile_t8.panel_outputs + v * vector_outputs;
  }
};

/// The order of t8 and t2: all outputs of a panel side by side.
struct SideBySide {
  static Columns columns(const TileView& tile, std::int64_t panel, unsigned v) noexcept {
    const std::int64_t first = panel * tile_t8.panel_outputs + v * vector_outputs;
    return {first, tile.outputs > first ? tile.outputs - first : 0};
  }
};

/// float(acc) * s, what one group adds to an output.
inline __m512 term(const TileView& tile, const Place& place, std::int64_t g, unsigned v, __m512i acc) noexcept {
  return _mm512_mul_ps(_mm512_cvtepi32_ps(acc), _mm512_loadu_ps(tile.scales + place.at(tile, g, v)));
}

/// What the activations' offset adds to the sums of vector `v` where they are unsigned, code + 128: 128 times the sums
/// of the weights' codes.
inline __m512i offset_of(const TileView& tile, const Place& place, std::int64_t g, unsigned v) noexcept {
  return _mm512_slli_epi32(_mm512_loadu_si512(tile.sums + place.at(tile, g, v)), 7);
}

/// Vector `v` of a panel's outputs.
template <typename Order>
class Outputs {
 public:
  Outputs(const GemmArguments& a, const Place& place, unsigned v) noexcept
      : a_(a), columns_(Order::columns(a.tile, place.panel, v)) {
    const std::int64_t slot = place.panel * tile_t8.panel_outputs + v * vector_outputs;
    bias_ = a.tile.bias == nullptr ? _mm512_set1_ps(-0.0F) : _mm512_loadu_ps(a.tile.bias + slot);  // x + -0 is x
  }

  /// sum * activation_scale + bias, rounded and written.
  void finish(std::int64_t token, __m512 sum) const noexcept {
    const __m512 y = _mm512_mul_ps(sum, _mm512_set1_ps(a_.activation_scales[token]));
    store(a_, token, columns_, _mm512_add_ps(y, bias_));
  }

 private:
  const GemmArguments& a_;
  Columns columns_;
  __m512 bias_;
};

/// Vectors of a panel: 4, or what the last one needs.
inline unsigned vectors_of(const TileView& tile, std::int64_t panel) noexcept {
  const std::int64_t left = tile.outputs - panel * tile_t8.panel_outputs;
  const std::int64_t vectors = (left + vector_outputs - 1) / vector_outputs;
  return static_cast<unsigned>(vectors < most_vectors ? vectors : most_vectors);
}

/// Tokens from `token` on that the next tile takes: as even a cut as tiles of at most 6 allow, so that no thin tile is
/// left at the end.
inline unsigned tokens_of(std::int64_t tokens, std::int64_t token) noexcept {
  const std::int64_t tiles = (tokens + most_tokens - 1) / most_tokens;
  const std::int64_t left = tokens - token;
  const std::int64_t even = (tokens + tiles - 1) / tiles;
  return static_cast<unsigned>(left < even ? left : even);
}

/// Sums the groups of T tokens by V vectors with `accumulate(acc, group)` and writes the outputs.
/// `accumulate` gives exact int32 sums.
template <unsigned T, unsigned V, typename Order = SideBySide, typename Accumulate>
inline void tile_of(const GemmArguments& a, const Place& place, const Accumulate& accumulate) noexcept {
  const std::int64_t groups = a.tile.groups;
  __m512 sums[T][V];
  for (unsigned t = 0; t < T; ++t) {
    for (unsigned v = 0; v < V; ++v) sums[t][v] = _mm512_set1_ps(groups == 0 ? 0.0F : -0.0F);  // -0 + x is x
  }
  for (std::int64_t g = 0; g < groups; ++g) {
    __m512i acc[T][V];
    for (unsigned t = 0; t < T; ++t) {
      for (unsigned v = 0; v < V; ++v) acc[t][v] = _mm512_setzero_si512();
    }
    accumulate(acc, g);
    for (unsigned t = 0; t < T; ++t) {
      for (unsigned v = 0; v < V; ++v) sums[t][v] = _mm512_add_ps(sums[t][v], term(a.tile, place, g, v, acc[t][v]));
    }
  }
  for (unsigned v = 0; v < V; ++v) {
    const Outputs<Order> outputs(a, place, v);
    for (unsigned t = 0; t < T; ++t) outputs.finish(place.token + t, sums[t][v]);
  }
}

}  // namespace
}  // namespace bnq::detail
