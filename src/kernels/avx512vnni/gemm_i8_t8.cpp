// int8 activations by int8 weights in tile t8. The activations are the unsigned operand, code + 128, so 128 times the
// sum of a row's codes is taken away at the end. Sums wrap around and come back: the exact result fits in int32.

#include "kernels/avx512vnni/lanes.h"

namespace bnq::detail {
namespace {

constexpr std::int64_t step_bytes(unsigned vectors) { return 64 * vectors; }

/// The offset of the activations away.
template <unsigned T, unsigned V>
inline void take_offset(const GemmArguments& a, const Place& place, __m512i (&acc)[T][V], std::int64_t g) noexcept {
  for (unsigned v = 0; v < V; ++v) {
    const __m512i offset = offset_of(a.tile, place, g, v);
    for (unsigned t = 0; t < T; ++t) acc[t][v] = _mm512_sub_epi32(acc[t][v], offset);
  }
}

/// One token, at the speed of memory: odd and even steps have accumulators of their own, so that none waits for the
/// step before.
template <unsigned V>
void row(const GemmArguments& a, const Place& place) noexcept {
  const std::int8_t* token = a.activations + place.token * a.tile.groups * a.tile.group_stride;
  const std::byte* codes = a.tile.codes + place.panel * a.tile.panel_bytes;
  const std::int64_t steps = a.tile.group_stride / tile_t8.depth_multiple;
  tile_of<1, V>(a, place, [&](__m512i(&acc)[1][V], std::int64_t g) noexcept {
    const std::int8_t* x = token + g * a.tile.group_stride;
    const std::byte* w = codes + g * steps * step_bytes(V);
    __m512i even[V];
    __m512i odd[V];
    for (unsigned v = 0; v < V; ++v) even[v] = odd[v] = _mm512_setzero_si512();
    std::int64_t s = 0;
    for (; s + 2 <= steps; s += 2, x += 8, w += 2 * step_bytes(V)) {
      for (unsigned v = 0; v < 2 * V; ++v) ask_for(w + stream_ahead + 64 * v);
      for (unsigned v = 0; v < V; ++v) dot(even[v], broadcast(x), load(w + 64 * v));
      for (unsigned v = 0; v < V; ++v) dot(odd[v], broadcast(x + 4), load(w + step_bytes(V) + 64 * v));
    }
    if (s < steps) {
      for (unsigned v = 0; v < V; ++v) dot(even[v], broadcast(x), load(w + 64 * v));
    }
    for (unsigned v = 0; v < V; ++v) acc[0][v] = _mm512_add_epi32(even[v], odd[v]);
    take_offset<1, V>(a, place, acc, g);
  });
}

template <unsigned T, unsigned V>
void tile(const GemmArguments& a, const Place& place) noexcept {
  const std::int64_t stride = a.tile.groups * a.tile.group_stride;
  const std::int8_t* tokens = a.activations + place.token * stride;
  const std::byte* codes = a.tile.codes + place.panel * a.tile.panel_bytes;
  const std::int64_t steps = a.tile.group_stride / tile_t8.depth_multiple;
  tile_of<T, V>(a, place, [&](__m512i(&acc)[T][V], std::int64_t g) noexcept {
    const std::int8_t* x = tokens + g * a.tile.group_stride;
    const std::byte* w = codes + g * steps * step_bytes(V);
    for (std::int64_t s = 0; s < steps; ++s, x += 4, w += step_bytes(V)) {
      __m512i weights[V];
      for (unsigned v = 0; v < V; ++v) weights[v] = load(w + 64 * v);
      for (unsigned t = 0; t < T; ++t) {
        const __m512i activations = broadcast(x + t * stride);
        for (unsigned v = 0; v < V; ++v) dot(acc[t][v], activations, weights[v]);
      }
    }
    take_offset<T, V>(a, place, acc, g);
  });
}

using Tile = void (*)(const GemmArguments&, const Place&) noexcept;

constexpr Tile tiles[most_tokens][most_vectors] = {{row<1>, row<2>, row<3>, row<4>},
                                                   {tile<2, 1>, tile<2, 2>, tile<2, 3>, tile<2, 4>},
                                                   {tile<3, 1>, tile<3, 2>, tile<3, 3>, tile<3, 4>},
                                                   {tile<4, 1>, tile<4, 2>, tile<4, 3>, tile<4, 4>},
                                                   {tile<5, 1>, tile<5, 2>, tile<5, 3>, tile<5, 4>},
                                                   {tile<6, 1>, tile<6, 2>, tile<6, 3>, tile<6, 4>}};

void run(const GemmArguments& a) noexcept {
  for (std::int64_t panel = a.first_panel; panel < a.last_panel; ++panel) {
    const unsigned vectors = vectors_of(a.tile, panel);
    for (std::int64_t token = 0; token < a.tokens;) {
      const unsigned count = tokens_of(a.tokens, token);
      tiles[count - 1][vectors - 1](a, {token, panel});
      token += count;
    }
  }
}

const char* refusal(const GemmProblem& /*problem*/) { return nullptr; }

std::size_t workspace_bytes(std::int64_t /*tokens*/, const TileView& /*tile*/) { return 0; }

}  // namespace

constinit const Kernel gemm_i8_t8_avx512vnni{.op = "gemm_i8_t8",
                                             .isa = Isa::avx512vnni,
                                             .tile_tokens = most_tokens,
                                             .tile_outputs = tile_t8.panel_outputs,
                                             .tile = tile_t8,
                                             .activation_xor = 0x80,
                                             .refusal = refusal,
                                             .workspace_bytes = workspace_bytes,
                                             .run = run};

}  // namespace bnq::detail
