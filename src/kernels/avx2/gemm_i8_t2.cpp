// int8 activations by ternary (or binary) weights in tile t2, fields 0 to 2 for codes -1 to +1: the sum of a token's
// codes is taken away at the end. Products are summed in 16 bits: a pair is within -512 … 508, so 63 of them stay above
// -32768; after 15 steps of 4 pairs they are widened.

#include "kernels/avx2/lanes.h"

namespace bnq::detail {
namespace {

constexpr unsigned fields = 4;                // of two bits, in a byte
constexpr std::int64_t steps_a_stretch = 15;  // 15 * 4 = 60 pairs

/// A stretch of the depth: at most 15 steps of 16 codes.
struct Stretch {
  const std::int8_t* x;
  std::int64_t stride;  ///< from a token to the next
  const std::byte* w;
  std::int64_t step_bytes;
  std::int64_t steps;
};

/// In 16-bit sums.
template <unsigned T, unsigned V>
inline void add_stretch(__m256i (&acc)[T][V], Stretch at) noexcept {
  const __m256i mask = _mm256_set1_epi8(3);
  __m256i pairs[T][V];
  for (auto& vectors : pairs) {
    for (__m256i& sum : vectors) sum = _mm256_setzero_si256();
  }
  for (std::int64_t s = 0; s < at.steps; ++s, at.x += 16, at.w += at.step_bytes) {
#pragma GCC unroll 4
    for (unsigned f = 0; f < fields; ++f) {
      __m256i activations[T];
      for (unsigned t = 0; t < T; ++t) activations[t] = broadcast(at.x + t * at.stride + 4 * f);
      for (unsigned v = 0; v < V; ++v) {
        const __m256i weights = _mm256_and_si256(_mm256_srli_epi16(load(at.w + 32 * v), static_cast<int>(2 * f)), mask);
        for (unsigned t = 0; t < T; ++t) {
          pairs[t][v] = _mm256_add_epi16(pairs[t][v], _mm256_maddubs_epi16(weights, activations[t]));
        }
      }
    }
  }
  const __m256i ones = _mm256_set1_epi16(1);
  for (unsigned t = 0; t < T; ++t) {
    for (unsigned v = 0; v < V; ++v) acc[t][v] = _mm256_add_epi32(acc[t][v], _mm256_madd_epi16(pairs[t][v], ones));
  }
}

template <unsigned T, unsigned V>
void tile(const GemmArguments& a, const Place& place) noexcept {
  const std::int64_t stride = a.tile.groups * a.tile.group_stride;
  const std::int8_t* tokens = a.activations + place.token * stride;
  const std::int64_t step_bytes = 32LL * vectors_of(a.tile, place.panel);
  const std::byte* codes = a.tile.codes + place.panel * a.tile.panel_bytes + 32LL * place.vector;
  const std::int64_t steps = a.tile.group_stride / tile_t2.depth_multiple;
  tile_of<T, V>(a, place, [&](__m256i(&acc)[T][V], std::int64_t g) noexcept {
    const std::int8_t* x = tokens + g * a.tile.group_stride;
    const std::byte* w = codes + g * steps * step_bytes;
    for (std::int64_t s = 0; s < steps; s += steps_a_stretch) {
      const std::int64_t count = steps - s < steps_a_stretch ? steps - s : steps_a_stretch;
      add_stretch<T, V>(acc, {x + 16 * s, stride, w + s * step_bytes, step_bytes, count});
    }
    for (unsigned t = 0; t < T; ++t) {
      const __m256i sum = _mm256_set1_epi32(a.activation_sums[(place.token + t) * a.tile.groups + g]);
      for (unsigned v = 0; v < V; ++v) acc[t][v] = _mm256_sub_epi32(acc[t][v], sum);
    }
  });
}

constexpr Tile row[row_vectors / pair] = {tile<1, 2>, tile<1, 4>, tile<1, 6>, tile<1, 8>};
constexpr Tile tiles[most_tokens] = {tile<1, pair>, tile<2, pair>, tile<3, pair>, tile<4, pair>};

void run(const GemmArguments& a) noexcept { run_tiles(a, row, tiles); }

const char* refusal(const GemmProblem& problem) {
  return problem.min_code < -1 || problem.max_code > 1 ? "its tile holds codes -1, 0 and +1" : nullptr;
}

}  // namespace

constinit const Kernel gemm_i8_t2_avx2{.op = "gemm_i8_t2",
                                       .isa = Isa::avx2,
                                       .tile_tokens = most_tokens,
                                       .tile_outputs = pair * lanes,
                                       .tile = tile_t2,
                                       .activation_xor = 0,
                                       .refusal = refusal,
                                       .workspace_bytes = no_workspace,
                                       .run = run};

}  // namespace bnq::detail
