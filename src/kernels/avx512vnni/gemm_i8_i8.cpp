// int8 activations by int8 weights that lie as layout i8 has them: row by row. The activations are the unsigned
// operand, code + 128, so 128 times the sum of a row's codes is taken away at the end. Sums wrap around and come back:
// the exact result fits in int32.

#include "kernels/avx512vnni/in_place.h"

namespace bnq::detail {
namespace {

inline std::int64_t rows_of(const TileView& tile, std::int64_t panel) noexcept {
  const std::int64_t left = tile.outputs - panel * tile_i8.panel_outputs;
  return left < tile_i8.panel_outputs ? left : tile_i8.panel_outputs;
}

/// acc[R * t + r] += a vector of row r by token t.
template <unsigned T, unsigned R>
inline void multiply(const __m512i (&weights)[R], const __m512i (&activations)[T], __m512i (&acc)[T * R]) noexcept {
#pragma GCC unroll 6
  for (unsigned t = 0; t < T; ++t) {
#pragma GCC unroll 8
    for (unsigned r = 0; r < R; ++r) dot(acc[R * t + r], activations[t], weights[r]);
  }
}

/// A group of R rows from `w` on by the same of T tokens from `x` on.
struct Group {
  const std::byte* w;
  std::int64_t row_bytes;
  const std::int8_t* x;
  std::int64_t token_bytes;
  std::int64_t size;
  const std::byte* ahead;  ///< a row that is needed later, to be brought nearer meanwhile
};

/// sums[64 * t + r]: of row r and token t.
template <unsigned T, unsigned R>
inline void rows_by_tokens(const Group& g, std::int32_t* sums) noexcept {
  __m512i acc[T * R];
#pragma GCC unroll 24
  for (unsigned i = 0; i < T * R; ++i) acc[i] = _mm512_setzero_si512();
  __m512i weights[R];
  __m512i activations[T];
  std::int64_t k = 0;
  for (; k + step_codes <= g.size; k += step_codes) {
    const std::int64_t at = ahead<R>(k, g.size, g.row_bytes);
    for (unsigned r = 0; r < R; ++r) {
      weights[r] = load(g.w + r * g.row_bytes + k);
      if constexpr (T <= 3) ask_for(g.w + r * g.row_bytes + at);
    }
    if constexpr (T > 3) ask_for(g.ahead + k);
    for (unsigned t = 0; t < T; ++t) activations[t] = _mm512_loadu_si512(g.x + t * g.token_bytes + k);
    multiply<T, R>(weights, activations, acc);
  }
  if (k < g.size) {
    const __mmask64 mask = first_bytes(g.size - k);
    for (unsigned r = 0; r < R; ++r) weights[r] = _mm512_maskz_loadu_epi8(mask, g.w + r * g.row_bytes + k);
    for (unsigned t = 0; t < T; ++t) activations[t] = _mm512_maskz_loadu_epi8(mask, g.x + t * g.token_bytes + k);
    multiply<T, R>(weights, activations, acc);
  }
#pragma GCC unroll 6
  for (unsigned t = 0; t < T; ++t) {
    if constexpr (R == 1) {
      const __m512i none = _mm512_setzero_si512();  // _mm512_reduce_add_epi32 may not wrap around
      sums[tile_i8.panel_outputs * t] = _mm_cvtsi128_si32(sums_of({acc[t], none, none, none}));
    } else {
#pragma GCC unroll 2
      for (unsigned r = 0; r < R; r += 4) {
        const __m512i four[4] = {acc[R * t + r], acc[R * t + r + 1], acc[R * t + r + 2], acc[R * t + r + 3]};
        _mm_store_si128(reinterpret_cast<__m128i*>(sums + tile_i8.panel_outputs * t + r), sums_of(four));
      }
    }
  }
}

/// sums[r]: of row r, of 4, by one token, which waits for memory alone: that is fastest in one stream, row after row.
/// A row's vectors take turns with four accumulators, so that none waits for the one before.
inline void rows_by_token(const Group& g, std::int32_t* sums) noexcept {
  constexpr std::int64_t turn_codes = 4 * step_codes;
  __m512i rows[4];
#pragma GCC unroll 4
  for (unsigned r = 0; r < 4; ++r) {
    const std::byte* w = g.w + r * g.row_bytes;
    __m512i acc[4] = {};
    std::int64_t k = 0;
    for (; k + turn_codes <= g.size; k += turn_codes) {
      for (unsigned i = 0; i < 4; ++i) ask_for(w + k + stream_ahead + 64 * i);
#pragma GCC unroll 4
      for (unsigned i = 0; i < 4; ++i) dot(acc[i], _mm512_loadu_si512(g.x + k + 64 * i), load(w + k + 64 * i));
    }
    for (; k < g.size; k += step_codes) {
      const __mmask64 mask = first_bytes(g.size - k);
      dot(acc[0], _mm512_maskz_loadu_epi8(mask, g.x + k), _mm512_maskz_loadu_epi8(mask, w + k));
    }
    rows[r] = _mm512_add_epi32(_mm512_add_epi32(acc[0], acc[1]), _mm512_add_epi32(acc[2], acc[3]));
  }
  _mm_store_si128(reinterpret_cast<__m128i*>(sums), sums_of(rows));
}

/// Exact sums of one vector of outputs: the offset of the activations away.
class Exact {
 public:
  Exact(const GemmArguments& a, const Place& place, std::int64_t g, unsigned v) noexcept
      : offset_(offset_of(a.tile, place, g, v)) {}

  __m512i operator()(std::int64_t /*token*/, __m512i acc) const noexcept { return _mm512_sub_epi32(acc, offset_); }

 private:
  __m512i offset_;
};

/// A few tokens. Rows side by side, as many as there are registers for their sums: each activation serves them all; or,
/// for one token, row after row.
template <unsigned T, bool OneStream = false>
void as_they_lie(const GemmArguments& a, const Place& place) noexcept {
  constexpr unsigned R = T <= 3 && !OneStream ? 8 : 4;
  const TileView& tile = a.tile;
  const std::int64_t stride = tile.groups * tile.group_stride;
  const std::int64_t rows = rows_of(tile, place.panel);
  tile_of<T, most_vectors>(a, place, [&](__m512i(&acc)[T][most_vectors], std::int64_t g) noexcept {
    alignas(64) std::int32_t sums[T * std::size_t{tile_i8.panel_outputs}];
    const std::int64_t begin = g * tile.group_size;
    const std::int64_t rest = tile.depth - begin;
    Group group{tile.codes + place.panel * tile_i8.panel_outputs * tile.depth + begin,
                tile.depth,
                a.activations + place.token * stride + g * tile.group_stride,
                stride,
                rest < tile.group_size ? rest : tile.group_size,
                nullptr};
    // Tiles of tokens take turns with the rows of the next panel.
    const std::int64_t turn = tile_i8.panel_outputs + place.token / T % R;
    std::int64_t row = 0;
    for (; row + R <= rows; row += R, group.w += R * tile.depth) {
      group.ahead = group.w + turn * tile.depth;
      if constexpr (OneStream) {
        rows_by_token(group, sums + row);
      } else {
        rows_by_tokens<T, R>(group, sums + row);
      }
    }
    for (; row < rows; ++row, group.w += tile.depth) rows_by_tokens<T, 1>(group, sums + row);
    for (unsigned v = 0; v < most_vectors; ++v) {
      const Exact exact(a, place, g, v);
      for (unsigned t = 0; t < T; ++t) {
        acc[t][v] = exact(place.token + t, _mm512_load_si512(sums + tile_i8.panel_outputs * t + vector_outputs * v));
      }
    }
  });
}

/// How a panel is laid out: as in tile t8.
struct LaidOut {
  using Order = SideBySide;
  using Exact = detail::Exact;
  static constexpr std::int64_t panel_rows = tile_i8.panel_outputs;

  static const std::byte* row_at(const TileView& tile, std::int64_t panel, std::int64_t row) noexcept {
    return tile.codes + (panel * tile_i8.panel_outputs + row) * tile.depth;
  }

  static void lay_out(const TileView& tile, std::int64_t panel, const Depths& depths, std::byte* out) noexcept {
    const std::int64_t last = rows_of(tile, panel) - 1;
    const std::byte* const rows = row_at(tile, panel, 0) + depths.in_row(tile);
    for (std::int64_t k = 0; k < depths.end - depths.begin; k += step_codes, out += step_codes * 64) {
      const __mmask64 mask = first_bytes(depths.end - depths.begin - k);
      for (unsigned v = 0; v < most_vectors; ++v) {
        const std::int64_t row = vector_outputs * v <= last ? vector_outputs * v : last;
        __m512i lanes[vector_outputs];
        load_turned(rows + row * tile.depth + k, tile.depth, last - row, mask, lanes);
        for (unsigned i = 0; i < vector_outputs; ++i) _mm512_store_si512(out + 64 * (most_vectors * i + v), lanes[i]);
      }
    }
  }

  static void multiply(__m512i& acc, __m512i weights, __m512i activations) noexcept { dot(acc, activations, weights); }
};

using Tile = void (*)(const GemmArguments&, const Place&) noexcept;
constexpr Tile tiles[most_tokens] = {as_they_lie<1>, as_they_lie<2>, as_they_lie<3>,
                                     as_they_lie<4>, as_they_lie<5>, as_they_lie<6>};
constexpr Tile tiles_of_long_rows[most_tokens] = {as_they_lie<1, true>, as_they_lie<2>, as_they_lie<3>,
                                                  as_they_lie<4>,       as_they_lie<5>, as_they_lie<6>};
constexpr std::int64_t one_stream_from_codes = 512;  // of a row's group: shorter ones do better side by side

/// Does laying out pay? The less depth a sum has, the more its way across lanes costs beside the products.
bool lays_out(std::int64_t tokens, const TileView& tile) noexcept {
  const std::int64_t from_tokens = 8 + tile.group_size / 32;
  return tile.depth > 0 && tokens >= (from_tokens < 56 ? from_tokens : 56);
}

void run(const GemmArguments& a) noexcept {
  if (lays_out(a.tokens, a.tile)) return run_laid_out<LaidOut>(a);
  run_as_they_lie(a, a.tile.group_size >= one_stream_from_codes ? tiles_of_long_rows : tiles);
}

const char* refusal(const GemmProblem& problem) {
  if (problem.layout != tile_i8.layout) return "it reads layout i8, and the weights are not packed so";
  const bool short_groups = problem.groups > 1 && problem.group_size < 256;
  return short_groups ? "groups of fewer than 256 codes are slower as they lie than in a tile" : nullptr;
}

std::size_t workspace_bytes(std::int64_t tokens, const TileView& tile) {
  return lays_out(tokens, tile) ? laid_out_bytes(tokens, tile) : 0;
}

}  // namespace

constinit const Kernel gemm_i8_i8_avx512vnni{.op = "gemm_i8_i8",
                                             .isa = Isa::avx512vnni,
                                             .tile_tokens = most_tokens,
                                             .tile_outputs = tile_i8.panel_outputs,
                                             .tile = tile_i8,
                                             .activation_xor = 0x80,
                                             .refusal = refusal,
                                             .workspace_bytes = workspace_bytes,
                                             .run = run};

}  // namespace bnq::detail
