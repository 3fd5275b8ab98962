// int8 activations by ternary (or binary) weights in tile t2, fields 0 to 2 for codes -1 to +1: the sum of a token's
// codes is taken away at the end. Products are summed in 16 bits: a pair is within -512 … 508, so 63 of them stay above
// -32768; after 15 steps of 4 pairs they are widened.

#include "kernels/avx2/lanes.h"

namespace bnq::detail {
namespace {

constexpr unsigned fields = 4;                                     // of two bits, in a byte
constexpr std::int64_t steps_a_stretch = 15;                       // 15 * 4 = 60 pairs
constexpr std::int64_t decoded_from_tokens = 2 * most_tokens + 1;  // up to two tiles decode in passing
constexpr std::int64_t prefetch_bytes = 2048;                      // ahead of a stream that comes from memory

/// How the codes lie that a tile reads.
enum class Codes {
  packed,   ///< in tile t2
  decoded,  ///< one byte each: as tile t8, with 16 outputs a panel and code + 1
};

/// Tokens and codes of a group.
struct Streams {
  const std::int8_t* x;
  std::int64_t stride;  ///< from a token to the next
  const std::byte* w;
  std::int64_t step_bytes;
  std::int64_t steps;  ///< of 16 codes
};

inline __m256i field(__m256i packed, unsigned f) noexcept {
  return _mm256_and_si256(_mm256_srli_epi16(packed, static_cast<int>(2 * f)), _mm256_set1_epi8(3));
}

template <Codes codes, unsigned V>
inline __m256i weights_of(const std::byte* step, unsigned f, unsigned v) noexcept {
  return codes == Codes::packed ? field(load(step + 32 * v), f) : load(step + 32 * (V * f + v));
}

/// V registers of codes, which are read soon.
template <unsigned V>
inline void prefetch(const std::byte* at) noexcept {
#pragma GCC unroll 4
  for (unsigned v = 0; v < V; v += 2) _mm_prefetch(reinterpret_cast<const char*>(at + 32 * v), _MM_HINT_T0);
}

/// pairs += one step.
template <Codes codes, unsigned T, unsigned V>
inline void add_step(__m256i (&pairs)[T][V], const std::int8_t* x, std::int64_t stride, const std::byte* w) noexcept {
#pragma GCC unroll 4
  for (unsigned f = 0; f < fields; ++f) {
    __m256i weights[V];
#pragma GCC unroll 8
    for (unsigned v = 0; v < V; ++v) weights[v] = weights_of<codes, V>(w, f, v);
#pragma GCC unroll 4
    for (unsigned t = 0; t < T; ++t) {
      const __m256i activations = broadcast(x + t * stride + 4 * f);
#pragma GCC unroll 8
      for (unsigned v = 0; v < V; ++v) add_words(pairs[t][v], _mm256_maddubs_epi16(weights[v], activations));
    }
  }
}

/// Not inlined, or else g++ 12 has too few registers for the 16-bit sums; by reference, since a copy of freshly written
/// fields waits for them. Loops over sums are unrolled by hand: a sum with a variable index would live in memory.
template <Codes codes, unsigned T, unsigned V>
[[gnu::noinline]] void add_group(__m256i (&acc)[T][V], const Streams& at) noexcept {
  const std::int8_t* x = at.x;
  const std::byte* w = at.w;
  const std::int64_t stride = at.stride;
  const std::int64_t step_bytes = codes == Codes::packed ? at.step_bytes : 32LL * fields * V;
  for (std::int64_t left = at.steps; left > 0; left -= steps_a_stretch) {
    __m256i pairs[T][V];
#pragma GCC unroll 4
    for (unsigned t = 0; t < T; ++t) {
#pragma GCC unroll 8
      for (unsigned v = 0; v < V; ++v) pairs[t][v] = _mm256_setzero_si256();
    }
    const std::int64_t count = left < steps_a_stretch ? left : steps_a_stretch;
    for (std::int64_t s = 0; s < count; ++s, x += 16, w += step_bytes) {
      if (T == 1) prefetch<V>(w + prefetch_bytes);
      add_step<codes, T, V>(pairs, x, stride, w);
    }
    const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 4
    for (unsigned t = 0; t < T; ++t) {
#pragma GCC unroll 8
      for (unsigned v = 0; v < V; ++v) acc[t][v] = _mm256_add_epi32(acc[t][v], _mm256_madd_epi16(pairs[t][v], ones));
    }
  }
}

inline const std::byte* packed_codes(const GemmArguments& a, const Place& place) noexcept {
  return a.tile.codes + place.panel * a.tile.panel_bytes + 32LL * place.vector;
}

template <Codes form, unsigned T, unsigned V>
void tile(const GemmArguments& a, const Place& place) noexcept {
  constexpr bool packed = form == Codes::packed;
  const std::int64_t stride = a.tile.groups * a.tile.group_stride;
  const std::int8_t* tokens = a.activations + place.token * stride;
  const std::int64_t step_bytes = packed ? 32LL * vectors_of(a.tile, place.panel) : 32LL * fields * V;
  const std::byte* codes = packed ? packed_codes(a, place) : a.workspace;
  const std::int64_t steps = a.tile.group_stride / tile_t2.depth_multiple;
  tile_of<T, V>(a, place, [&](__m256i(&acc)[T][V], std::int64_t g) noexcept {
    const std::int8_t* x = tokens + g * a.tile.group_stride;
    const std::byte* w = codes + g * steps * step_bytes;
    add_group<form, T, V>(acc, {x, stride, w, step_bytes, steps});
    for (unsigned t = 0; t < T; ++t) {
      const __m256i sum = _mm256_set1_epi32(a.activation_sums[(place.token + t) * a.tile.groups + g]);
      for (unsigned v = 0; v < V; ++v) acc[t][v] = _mm256_sub_epi32(acc[t][v], sum);
    }
  });
}

/// The codes of 16 outputs over the whole depth, into the workspace.
void decode(const GemmArguments& a, const Place& place) noexcept {
  const std::byte* w = packed_codes(a, place);
  const std::int64_t step_bytes = 32LL * vectors_of(a.tile, place.panel);
  const std::int64_t steps = a.tile.groups * a.tile.group_stride / tile_t2.depth_multiple;
  std::byte* out = a.workspace;
  for (std::int64_t s = 0; s < steps; ++s, w += step_bytes) {
    for (unsigned f = 0; f < fields; ++f) {
      for (unsigned v = 0; v < pair; ++v, out += 32) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), field(load(w + 32 * v), f));
      }
    }
  }
}

constexpr Tile row[row_vectors / pair] = {tile<Codes::packed, 1, 2>, tile<Codes::packed, 1, 4>,
                                          tile<Codes::packed, 1, 6>, tile<Codes::packed, 1, 8>};
constexpr Tile packed_tiles[most_tokens] = {tile<Codes::packed, 1, pair>, tile<Codes::packed, 2, pair>,
                                            tile<Codes::packed, 3, pair>, tile<Codes::packed, 4, pair>};
constexpr Tile decoded_tiles[most_tokens] = {tile<Codes::decoded, 1, pair>, tile<Codes::decoded, 2, pair>,
                                             tile<Codes::decoded, 3, pair>, tile<Codes::decoded, 4, pair>};

void run(const GemmArguments& a) noexcept {
  if (a.tokens < decoded_from_tokens) return run_tiles(a, row, packed_tiles, [](const Place&) noexcept {});
  run_tiles(a, row, decoded_tiles, [&a](const Place& place) noexcept { decode(a, place); });
}

const char* refusal(const GemmProblem& problem) {
  return problem.min_code < -1 || problem.max_code > 1 ? "its tile holds codes -1, 0 and +1" : nullptr;
}

std::size_t workspace_bytes(std::int64_t tokens, const TileView& tile) {
  return tokens < decoded_from_tokens ? 0 : static_cast<std::size_t>(tile.groups * tile.group_stride) * pair * lanes;
}

}  // namespace

constinit const Kernel gemm_i8_t2_avx2{.op = "gemm_i8_t2",
                                       .isa = Isa::avx2,
                                       .tile_tokens = most_tokens,
                                       .tile_outputs = pair * lanes,
                                       .tile = tile_t2,
                                       .activation_xor = 0,
                                       .refusal = refusal,
                                       .workspace_bytes = workspace_bytes,
                                       .run = run};

}  // namespace bnq::detail
