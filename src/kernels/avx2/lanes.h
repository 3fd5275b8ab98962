#pragma once

// What the matrix kernels of this folder share. Everything stands in an unnamed namespace: each object keeps its own
// copy, so that no code compiled for this instruction set can be linked into a place that every CPU reaches.

#include "kernels/kernel.h"

#include <immintrin.h>

#if !defined(__AVX2__) || !defined(__F16C__)
#error "compile this folder for AVX2 and F16C"
#endif

namespace bnq::detail {
namespace {

constexpr unsigned lanes = 8;        // outputs of a register
constexpr unsigned most_tokens = 4;  // 4 x 2 accumulators leave 8 of the 16 registers for operands
constexpr unsigned pair = 2;         // registers of 16 outputs
constexpr unsigned row_vectors = 8;  // registers of a panel

inline __m256i load(const std::byte* at) noexcept { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)); }

/// Four codes of a token, in every lane.
inline __m256i broadcast(const std::int8_t* at) noexcept {
  std::int32_t four;
  __builtin_memcpy(&four, at, sizeof four);
  return _mm256_set1_epi32(four);
}

/// sum += terms, by 16-bit words. g++ 12 collects the products of several steps before it adds them, copies and spills
/// sums and loses half of the speed; told that the register is updated in place, it does not. clang needs no such help.
inline void add_words(__m256i& sum, __m256i terms) noexcept {
#if defined(__GNUC__) && !defined(__clang__)
  __asm__("vpaddw %1, %0, %0" : "+x"(sum) : "x"(terms));
#else
  sum = _mm256_add_epi16(sum, terms);
#endif
}

/// Rounded to nearest even; the NaNs are canonical already.
inline __m128i narrow_bf16(__m256 values) noexcept {
  const __m256i bits = _mm256_castps_si256(values);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(values, values, _CMP_UNORD_Q));
  const __m256i kept = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, bits, nan), 16);
  return _mm_packus_epi32(_mm256_castsi256_si128(kept), _mm256_extracti128_si256(kept, 1));
}

/// Writes outputs [first, first + 8) of a token, as far as there are so many.
inline void store(const GemmArguments& a, std::int64_t token, std::int64_t first, __m256 values) noexcept {
  const std::int64_t left = a.tile.outputs - first;
  if (left <= 0) return;
  const std::int64_t count = left < lanes ? left : lanes;
  const std::int64_t at = token * a.tile.outputs + first;
  const __m256 nan = _mm256_cmp_ps(values, values, _CMP_UNORD_Q);
  values = _mm256_blendv_ps(values, _mm256_castsi256_ps(_mm256_set1_epi32(0x7FC00000)), nan);
  if (a.y_dtype == DType::f32) {
    auto* const out = static_cast<float*>(a.y) + at;
    if (count == lanes) return _mm256_storeu_ps(out, values);
    float tail[lanes];
    _mm256_storeu_ps(tail, values);
    __builtin_memcpy(out, tail, static_cast<std::size_t>(count) * sizeof(float));
    return;
  }
  const __m128i half =
      a.y_dtype == DType::f16 ? _mm256_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT) : narrow_bf16(values);
  std::uint16_t tail[lanes];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(tail), half);
  __builtin_memcpy(static_cast<std::uint16_t*>(a.y) + at, tail,
                   static_cast<std::size_t>(count) * sizeof(std::uint16_t));
}

/// Where a kernel stands: tokens from `token` on by registers from `vector` on (of 8 outputs) of one panel.
struct Place {
  std::int64_t token;
  std::int64_t panel;
  unsigned vector;

  /// Element of an array by panel: group `g`, register `v` from here.
  [[nodiscard]] std::int64_t at(const TileView& tile, std::int64_t g, unsigned v) const noexcept {
    return (panel * tile.groups + g) * tile_t8.panel_outputs + (vector + v) * lanes;
  }
};

/// Registers of a panel that its bytes hold: 8, or what the last one needs, in pairs.
inline unsigned vectors_of(const TileView& tile, std::int64_t panel) noexcept {
  const std::int64_t left = tile.outputs - panel * tile_t8.panel_outputs;
  const std::int64_t vectors = (left + vector_outputs - 1) / vector_outputs * pair;
  return static_cast<unsigned>(vectors < row_vectors ? vectors : row_vectors);
}

/// Tokens from `token` on that the next tile takes, as evenly cut as tiles of at most 4 allow.
inline unsigned tokens_of(std::int64_t tokens, std::int64_t token) noexcept {
  const std::int64_t tiles = (tokens + most_tokens - 1) / most_tokens;
  const std::int64_t left = tokens - token;
  const std::int64_t even = (tokens + tiles - 1) / tiles;
  return static_cast<unsigned>(left < even ? left : even);
}

/// Sums the groups of T tokens by V registers with `accumulate(acc, group)`, which gives exact int32 sums, and writes
/// the outputs.
template <unsigned T, unsigned V, typename Accumulate>
inline void tile_of(const GemmArguments& a, const Place& place, const Accumulate& accumulate) noexcept {
  const std::int64_t groups = a.tile.groups;
  __m256 sums[T][V];
  for (unsigned t = 0; t < T; ++t) {
    for (unsigned v = 0; v < V; ++v) sums[t][v] = _mm256_set1_ps(groups == 0 ? 0.0F : -0.0F);  // -0 + x is x
  }
  for (std::int64_t g = 0; g < groups; ++g) {
    __m256i acc[T][V];
    for (unsigned t = 0; t < T; ++t) {
      for (unsigned v = 0; v < V; ++v) acc[t][v] = _mm256_setzero_si256();
    }
    accumulate(acc, g);
    for (unsigned v = 0; v < V; ++v) {
      const __m256 scales = _mm256_loadu_ps(a.tile.scales + place.at(a.tile, g, v));
      for (unsigned t = 0; t < T; ++t) {
        sums[t][v] = _mm256_add_ps(sums[t][v], _mm256_mul_ps(_mm256_cvtepi32_ps(acc[t][v]), scales));
      }
    }
  }
  for (unsigned t = 0; t < T; ++t) {
    for (unsigned v = 0; v < V; ++v) {
      __m256 y = _mm256_mul_ps(sums[t][v], _mm256_set1_ps(a.activation_scales[place.token + t]));
      const std::int64_t column = place.panel * tile_t8.panel_outputs + (place.vector + v) * lanes;
      if (a.tile.bias != nullptr) y = _mm256_add_ps(y, _mm256_loadu_ps(a.tile.bias + column));
      store(a, place.token + t, column, y);
    }
  }
}

using Tile = void (*)(const GemmArguments&, const Place&) noexcept;

/// All tokens by all panels of a call. One token goes through a whole panel at once, so that its weights are read as
/// one stream; several go by 16 outputs, after `prepare` has seen the place of these.
template <typename Prepare>
inline void run_tiles(const GemmArguments& a, const Tile (&row)[row_vectors / pair], const Tile (&tiles)[most_tokens],
                      const Prepare& prepare) noexcept {
  for (std::int64_t panel = a.first_panel; panel < a.last_panel; ++panel) {
    const unsigned vectors = vectors_of(a.tile, panel);
    if (a.tokens == 1) {
      row[vectors / pair - 1](a, {0, panel, 0});
      continue;
    }
    for (unsigned vector = 0; vector < vectors; vector += pair) {
      prepare(Place{0, panel, vector});
      for (std::int64_t token = 0; token < a.tokens;) {
        const unsigned count = tokens_of(a.tokens, token);
        tiles[count - 1](a, {token, panel, vector});
        token += count;
      }
    }
  }
}

inline std::size_t no_workspace(std::int64_t /*tokens*/, const TileView& /*tile*/) { return 0; }

}  // namespace
}  // namespace bnq::detail
