// int8 activations by ternary (or binary) weights in tile t2, fields 0 to 2 for codes -1 to +1: the sum of a token's
// codes is taken away at the end.

#include "kernels/avx512vnni/lanes.h"

namespace bnq::detail {
namespace {

constexpr unsigned fields = 4;                  // of two bits, in a byte
constexpr std::int64_t panel_from_tokens = 48;  // from so many on, decoding a panel once is cheaper than in every tile

constexpr std::int64_t step_bytes(unsigned vectors) { return 64 * vectors; }

inline const std::byte* panel_codes(const GemmArguments& a, const Place& place) noexcept {
  return a.tile.codes + place.panel * a.tile.panel_bytes;
}

template <unsigned T, unsigned V>
inline void take_activation_sums(const GemmArguments& a, const Place& place, __m512i (&acc)[T][V],
                                 std::int64_t g) noexcept {
  for (unsigned t = 0; t < T; ++t) {
    const __m512i sum = _mm512_set1_epi32(a.activation_sums[(place.token + t) * a.tile.groups + g]);
    for (unsigned v = 0; v < V; ++v) acc[t][v] = _mm512_sub_epi32(acc[t][v], sum);
  }
}

/// One token, at the speed of memory. No shifts: field f stays where it is in its byte and counts 4^f, in an
/// accumulator of its own, which is divided at the end; every product has the factor, so nothing is lost.
template <unsigned V>
void row(const GemmArguments& a, const Place& place) noexcept {
  const std::int8_t* token = a.activations + place.token * a.tile.groups * a.tile.group_stride;
  const std::byte* codes = panel_codes(a, place);
  const std::int64_t steps = a.tile.group_stride / tile_t2.depth_multiple;
  tile_of<1, V>(a, place, [&](__m512i(&acc)[1][V], std::int64_t g) noexcept {
    const std::int8_t* x = token + g * a.tile.group_stride;
    const std::byte* w = codes + g * steps * step_bytes(V);
    __m512i by_field[fields][V];
    for (auto& vectors : by_field) {
      for (__m512i& sum : vectors) sum = _mm512_setzero_si512();
    }
    for (std::int64_t s = 0; s < steps; ++s, x += 16, w += step_bytes(V)) {
      for (unsigned v = 0; v < V; ++v) ask_for(w + stream_ahead + 64 * v);
      for (unsigned v = 0; v < V; ++v) {
        const __m512i packed = load(w + 64 * v);
        for (unsigned f = 0; f < fields; ++f) {
          const __m512i field = _mm512_and_si512(packed, _mm512_set1_epi8(static_cast<char>(3 << (2 * f))));
          dot(by_field[f][v], field, broadcast(x + 4 * f));
        }
      }
    }
    for (unsigned v = 0; v < V; ++v) {
      acc[0][v] = by_field[0][v];
      for (unsigned f = 1; f < fields; ++f) {
        acc[0][v] = _mm512_add_epi32(acc[0][v], _mm512_srai_epi32(by_field[f][v], 2 * f));
      }
    }
    take_activation_sums<1, V>(a, place, acc, g);
  });
}

/// A few tokens: each vector is decoded in the tile and used by T tokens.
template <unsigned T, unsigned V>
void tile(const GemmArguments& a, const Place& place) noexcept {
  const std::int64_t stride = a.tile.groups * a.tile.group_stride;
  const std::int8_t* tokens = a.activations + place.token * stride;
  const std::byte* codes = panel_codes(a, place);
  const std::int64_t steps = a.tile.group_stride / tile_t2.depth_multiple;
  const __m512i mask = _mm512_set1_epi8(3);
  tile_of<T, V>(a, place, [&](__m512i(&acc)[T][V], std::int64_t g) noexcept {
    const std::int8_t* x = tokens + g * a.tile.group_stride;
    const std::byte* w = codes + g * steps * step_bytes(V);
    for (std::int64_t s = 0; s < steps; ++s, x += 16, w += step_bytes(V)) {
#pragma GCC unroll 4
      for (unsigned f = 0; f < fields; ++f) {
        __m512i weights[V];
        for (unsigned v = 0; v < V; ++v) {
          weights[v] = _mm512_and_si512(shift_right(load(w + 64 * v), 2 * f), mask);
        }
        for (unsigned t = 0; t < T; ++t) {
          const __m512i activations = broadcast(x + t * stride + 4 * f);
          for (unsigned v = 0; v < V; ++v) dot(acc[t][v], weights[v], activations);
        }
      }
    }
    take_activation_sums<T, V>(a, place, acc, g);
  });
}

/// Many tokens: as `tile`, over a panel that was decoded to one byte a code.
template <unsigned T, unsigned V>
void decoded_tile(const GemmArguments& a, const Place& place) noexcept {
  const std::int64_t stride = a.tile.groups * a.tile.group_stride;
  const std::int8_t* tokens = a.activations + place.token * stride;
  const std::int64_t steps = a.tile.group_stride / 4;
  tile_of<T, V>(a, place, [&](__m512i(&acc)[T][V], std::int64_t g) noexcept {
    const std::int8_t* x = tokens + g * a.tile.group_stride;
    const std::byte* w = a.workspace + g * steps * step_bytes(V);
    for (std::int64_t s = 0; s < steps; ++s, x += 4, w += step_bytes(V)) {
      __m512i weights[V];
      for (unsigned v = 0; v < V; ++v) weights[v] = load(w + 64 * v);
      for (unsigned t = 0; t < T; ++t) {
        const __m512i activations = broadcast(x + t * stride);
        for (unsigned v = 0; v < V; ++v) dot(acc[t][v], weights[v], activations);
      }
    }
    take_activation_sums<T, V>(a, place, acc, g);
  });
}

void decode_panel(const GemmArguments& a, const Place& place, unsigned vectors) noexcept {
  const std::byte* w = panel_codes(a, place);
  std::byte* out = a.workspace;
  const std::int64_t steps = a.tile.groups * a.tile.group_stride / tile_t2.depth_multiple;
  const __m512i mask = _mm512_set1_epi8(3);
  for (std::int64_t s = 0; s < steps; ++s, w += step_bytes(vectors), out += fields * step_bytes(vectors)) {
    for (unsigned v = 0; v < vectors; ++v) {
      __m512i packed = load(w + 64 * v);
      for (unsigned f = 0; f < fields; ++f) {
        _mm512_storeu_si512(out + f * step_bytes(vectors) + 64 * v, _mm512_and_si512(packed, mask));
        packed = shift_right(packed, 2);
      }
    }
  }
}

using Tile = void (*)(const GemmArguments&, const Place&) noexcept;

constexpr Tile rows[most_vectors] = {row<1>, row<2>, row<3>, row<4>};

constexpr Tile tiles[most_tokens][most_vectors] = {
    {tile<1, 1>, tile<1, 2>, tile<1, 3>, tile<1, 4>}, {tile<2, 1>, tile<2, 2>, tile<2, 3>, tile<2, 4>},
    {tile<3, 1>, tile<3, 2>, tile<3, 3>, tile<3, 4>}, {tile<4, 1>, tile<4, 2>, tile<4, 3>, tile<4, 4>},
    {tile<5, 1>, tile<5, 2>, tile<5, 3>, tile<5, 4>}, {tile<6, 1>, tile<6, 2>, tile<6, 3>, tile<6, 4>}};

constexpr Tile decoded_tiles[2][most_vectors] = {
    {decoded_tile<5, 1>, decoded_tile<5, 2>, decoded_tile<5, 3>, decoded_tile<5, 4>},
    {decoded_tile<6, 1>, decoded_tile<6, 2>, decoded_tile<6, 3>, decoded_tile<6, 4>}};

void run(const GemmArguments& a) noexcept {
  const bool decode = a.tokens >= panel_from_tokens;
  for (std::int64_t panel = a.first_panel; panel < a.last_panel; ++panel) {
    const unsigned vectors = vectors_of(a.tile, panel);
    if (a.tokens == 1) {
      rows[vectors - 1](a, {0, panel});
      continue;
    }
    if (decode) decode_panel(a, {0, panel}, vectors);
    for (std::int64_t token = 0; token < a.tokens;) {
      const unsigned count = tokens_of(a.tokens, token);
      const bool full = decode && count >= most_tokens - 1;
      const Tile call = full ? decoded_tiles[count - most_tokens + 1][vectors - 1] : tiles[count - 1][vectors - 1];
      call(a, {token, panel});
      token += count;
    }
  }
}

/// The widest field counts 64: 2 * 128 * 4 * 64 a step of 16 codes has to stay below 2^31 in sum.
constexpr std::int64_t most_codes = 16LL * (0x7FFFFFFF / (2 * 128 * 4 * 64));

const char* refusal(const GemmProblem& problem) {
  if (problem.min_code < -1 || problem.max_code > 1) return "its tile holds codes -1, 0 and +1";
  return problem.group_size > most_codes ? "its sums would overflow at this depth" : nullptr;
}

std::size_t workspace_bytes(std::int64_t tokens, const TileView& tile) {
  if (tokens < panel_from_tokens) return 0;
  return static_cast<std::size_t>(tile.groups * tile.group_stride * tile_t2.panel_outputs);
}

}  // namespace

constinit const Kernel gemm_i8_t2_avx512vnni{.op = "gemm_i8_t2",
                                             .isa = Isa::avx512vnni,
                                             .tile_tokens = most_tokens,
                                             .tile_outputs = tile_t2.panel_outputs,
                                             .tile = tile_t2,
                                             .activation_xor = 0,
                                             .refusal = refusal,
                                             .workspace_bytes = workspace_bytes,
                                             .run = run};

}  // namespace bnq::detail
