// int8 activations by int8 weights in tile t8, exactly: |a| x (w with the sign of a). The 16-bit sum of two such
// products is at most 2 * 128 * 127 = 32512, so that maddubs does not saturate; codes of -128 in the weights would.

#include "kernels/avx2/lanes.h"

namespace bnq::detail {
namespace {

template <unsigned T, unsigned V>
void tile(const GemmArguments& a, const Place& place) noexcept {
  const std::int64_t stride = a.tile.groups * a.tile.group_stride;
  const std::int8_t* tokens = a.activations + place.token * stride;
  const std::int64_t step_bytes = 32LL * vectors_of(a.tile, place.panel);
  const std::byte* codes = a.tile.codes + place.panel * a.tile.panel_bytes + 32LL * place.vector;
  const std::int64_t steps = a.tile.group_stride / tile_t8.depth_multiple;
  const __m256i ones = _mm256_set1_epi16(1);
  tile_of<T, V>(a, place, [&](__m256i(&acc)[T][V], std::int64_t g) noexcept {
    const std::int8_t* x = tokens + g * a.tile.group_stride;
    const std::byte* w = codes + g * steps * step_bytes;
    for (std::int64_t s = 0; s < steps; ++s, x += 4, w += step_bytes) {
      for (unsigned t = 0; t < T; ++t) {
        const __m256i activations = broadcast(x + t * stride);
        const __m256i magnitudes = _mm256_abs_epi8(activations);
        for (unsigned v = 0; v < V; ++v) {
          const __m256i pairs = _mm256_maddubs_epi16(magnitudes, _mm256_sign_epi8(load(w + 32 * v), activations));
          acc[t][v] = _mm256_add_epi32(acc[t][v], _mm256_madd_epi16(pairs, ones));
        }
      }
    }
  });
}

constexpr Tile row[row_vectors / pair] = {tile<1, 2>, tile<1, 4>, tile<1, 6>, tile<1, 8>};
constexpr Tile tiles[most_tokens] = {tile<1, pair>, tile<2, pair>, tile<3, pair>, tile<4, pair>};

void run(const GemmArguments& a) noexcept {
  run_tiles(a, row, tiles, [](const Place&) noexcept {});
}

const char* refusal(const GemmProblem& problem) {
  return problem.min_code < -127 ? "weight codes of -128 would saturate its 16-bit sums" : nullptr;
}

}  // namespace

constinit const Kernel gemm_i8_t8_avx2{.op = "gemm_i8_t8",
                                       .isa = Isa::avx2,
                                       .tile_tokens = most_tokens,
                                       .tile_outputs = pair * lanes,
                                       .tile = tile_t8,
                                       .activation_xor = 0,
                                       .refusal = refusal,
                                       .workspace_bytes = no_workspace,
                                       .run = run};

}  // namespace bnq::detail
