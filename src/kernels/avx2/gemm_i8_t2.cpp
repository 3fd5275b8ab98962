// int8 activations by ternary (or binary) weights in tile t2, fields 0 to 2 for codes -1 to +1: the sum of a token's
// codes is taken away at the end. Products are summed in 16 bits: a pair is within -512 … 508, so 63 of them stay above
// -32768; after 15 steps of 4 pairs they are widened.

#include "kernels/avx2/lanes.h"

namespace bnq::detail {
namespace {

constexpr unsigned fields = 4;                 // of two bits, in a byte
constexpr std::int64_t prefetch_bytes = 2048;  // ahead of a stream that comes from memory
constexpr std::int64_t steps_a_stretch = 15;   // 15 * 4 = 60 pairs

/// A stretch of the depth: at most 15 steps of 16 codes.
struct Stretch {
  const std::int8_t* x;
  std::int64_t stride;  ///< from a token to the next
  const std::byte* w;
  std::int64_t step_bytes;
  std::int64_t steps;
};

using FourCodes __attribute__((may_alias, aligned(1))) = std::int32_t;

/// Sums of pairs of products, += two registers of weights times four activations. g++ 12 regroups such sums over the
/// unrolled fields, holds all operands at once and spills: half of the speed. It cannot take one instruction apart.
inline void add_products(__m256i (&sums)[pair], const __m256i (&weights)[pair],
                         const std::int8_t* activations) noexcept {
#if defined(__GNUC__) && !defined(__clang__)
  __m256i first;
  __m256i second;
  __asm__(
      "vpbroadcastd %[x], %[second]\n\t"
      "vpmaddubsw %[second], %[w0], %[first]\n\t"
      "vpmaddubsw %[second], %[w1], %[second]\n\t"
      "vpaddw %[first], %[s0], %[s0]\n\t"
      "vpaddw %[second], %[s1], %[s1]"
      : [s0] "+x"(sums[0]), [s1] "+x"(sums[1]), [first] "=&x"(first), [second] "=&x"(second)
      : [w0] "x"(weights[0]), [w1] "x"(weights[1]), [x] "m"(*reinterpret_cast<const FourCodes*>(activations)));
#else
  const __m256i x = broadcast(activations);
  for (unsigned v = 0; v < pair; ++v) sums[v] = _mm256_add_epi16(sums[v], _mm256_maddubs_epi16(weights[v], x));
#endif
}

/// The same of one register, where the activations are there: one token uses them for a whole panel.
inline void add_products(__m256i& sum, __m256i weights, __m256i activations) noexcept {
#if defined(__GNUC__) && !defined(__clang__)
  __asm__("vpaddw %1, %0, %0" : "+x"(sum) : "x"(_mm256_maddubs_epi16(weights, activations)));
#else
  sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(weights, activations));
#endif
}

/// The fields `f` of a pair of registers. Decoding them anew for every four tokens costs less than reading a decoded
/// panel, which is four times as long, from the second-level cache.
inline void take_fields(__m256i (&weights)[pair], const std::byte* w, unsigned f) noexcept {
  for (unsigned v = 0; v < pair; ++v) {
    weights[v] = _mm256_and_si256(_mm256_srli_epi16(load(w + 32 * v), static_cast<int>(2 * f)), _mm256_set1_epi8(3));
  }
}

/// In 16-bit sums.
template <unsigned T, unsigned V>
inline void add_stretch(__m256i (&acc)[T][V], Stretch at) noexcept {
  __m256i sums[T][V / pair][pair];
  for (auto& vectors : sums) {
    for (auto& two : vectors) two[0] = two[1] = _mm256_setzero_si256();
  }
  for (std::int64_t s = 0; s < at.steps; ++s, at.x += 16, at.w += at.step_bytes) {
    for (unsigned ahead = 0; T == 1 && ahead < 32 * V; ahead += 64) {
      _mm_prefetch(reinterpret_cast<const char*>(at.w + prefetch_bytes + ahead), _MM_HINT_T0);
    }
#pragma GCC unroll 4
    for (unsigned f = 0; f < fields; ++f) {
      for (unsigned v = 0; v < V; v += pair) {
        __m256i weights[pair];
        take_fields(weights, at.w + 32 * v, f);
        if (T == 1) {
          for (unsigned i = 0; i < pair; ++i) add_products(sums[0][v / pair][i], weights[i], broadcast(at.x + 4 * f));
        } else {
          for (unsigned t = 0; t < T; ++t) add_products(sums[t][v / pair], weights, at.x + t * at.stride + 4 * f);
        }
      }
    }
  }
  const __m256i ones = _mm256_set1_epi16(1);
  for (unsigned t = 0; t < T; ++t) {
    for (unsigned v = 0; v < V; ++v) {
      acc[t][v] = _mm256_add_epi32(acc[t][v], _mm256_madd_epi16(sums[t][v / pair][v % pair], ones));
    }
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
