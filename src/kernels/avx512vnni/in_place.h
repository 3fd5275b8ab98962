#pragma once

// What the kernels share that read a layout's bytes as they lie, row by row, the depth side by side.
//
// A few tokens multiply the rows as they are, 64 codes of depth in a vector; a sum then runs across the lanes, once for
// each output and token. For more tokens it is cheaper to lay weights out first, one output a lane as in tile t8: a
// chunk of a panel at a time, in the workspace, small enough for the first cache. `Format` says how:
//
//   panel_rows                         rows of bytes in a panel
//   Order                              which outputs a vector of a panel holds
//   lay_out(tile, panel, depths, out)  for each 4 codes of depth, most_vectors vectors
//   multiply(acc, weights, activations)
//   Exact(a, place, g, v)(token, acc)  the exact sums of group g from those of vector v

#include "kernels/avx512vnni/lanes.h"

namespace bnq::detail {
namespace {

constexpr std::int64_t step_codes = 64;                 // of depth, in a vector of a row
constexpr std::int64_t lane_codes = 4;                  // of depth, in a lane
constexpr std::int64_t block_tokens = 768;              // that a chunk serves before it is laid out again
constexpr std::int64_t sums_bytes = 64 * most_vectors;  // of a token: its outputs of a panel

constexpr std::int64_t ask_bytes = 8192;  // ahead in rows that come from memory, all that lie side by side

/// What to ask for at code k of `size` in R rows side by side: bytes further on, past the end those of the next R rows.
template <unsigned R>
inline std::int64_t ahead(std::int64_t k, std::int64_t size, std::int64_t row_bytes) noexcept {
  constexpr std::int64_t in_each = ask_bytes / R;
  return k + in_each + (k + in_each < size ? 0 : (R - 1) * row_bytes);
}

/// Lane i: the sum of all lanes of acc[i].
inline __m128i sums_of(const __m512i (&acc)[4]) noexcept {
  const __m512i pairs[2] = {
      _mm512_add_epi32(_mm512_unpacklo_epi32(acc[0], acc[1]), _mm512_unpackhi_epi32(acc[0], acc[1])),
      _mm512_add_epi32(_mm512_unpacklo_epi32(acc[2], acc[3]), _mm512_unpackhi_epi32(acc[2], acc[3]))};
  const __m512i quads =
      _mm512_add_epi32(_mm512_unpacklo_epi64(pairs[0], pairs[1]), _mm512_unpackhi_epi64(pairs[0], pairs[1]));
  const __m256i halves = _mm256_add_epi32(_mm512_castsi512_si256(quads), _mm512_extracti64x4_epi64(quads, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
}

/// 16 vectors of 16 lanes: lane i of vector j to lane j of vector i.
inline void turn_round(__m512i (&v)[16]) noexcept {
  __m512i u[16];
  for (unsigned i = 0; i < 16; i += 4) {
    const __m512i low[2] = {_mm512_unpacklo_epi32(v[i], v[i + 1]), _mm512_unpacklo_epi32(v[i + 2], v[i + 3])};
    const __m512i high[2] = {_mm512_unpackhi_epi32(v[i], v[i + 1]), _mm512_unpackhi_epi32(v[i + 2], v[i + 3])};
    u[i] = _mm512_unpacklo_epi64(low[0], low[1]);
    u[i + 1] = _mm512_unpackhi_epi64(low[0], low[1]);
    u[i + 2] = _mm512_unpacklo_epi64(high[0], high[1]);
    u[i + 3] = _mm512_unpackhi_epi64(high[0], high[1]);
  }
  for (unsigned i = 0; i < 4; ++i) {
    const __m512i even[2] = {_mm512_shuffle_i32x4(u[i], u[4 + i], 0x88),
                             _mm512_shuffle_i32x4(u[8 + i], u[12 + i], 0x88)};
    const __m512i odd[2] = {_mm512_shuffle_i32x4(u[i], u[4 + i], 0xDD),
                            _mm512_shuffle_i32x4(u[8 + i], u[12 + i], 0xDD)};
    v[i] = _mm512_shuffle_i32x4(even[0], even[1], 0x88);
    v[4 + i] = _mm512_shuffle_i32x4(odd[0], odd[1], 0x88);
    v[8 + i] = _mm512_shuffle_i32x4(even[0], even[1], 0xDD);
    v[12 + i] = _mm512_shuffle_i32x4(odd[0], odd[1], 0xDD);
  }
}

/// 16 rows from `rows` on at one step of depth, turned round: vector i has codes 4i to 4i + 3 of each row. Rows past
/// `last` are the last one again: their sums are not written.
inline void load_turned(const std::byte* rows, std::int64_t stride, std::int64_t last, __mmask64 mask,
                        __m512i (&lanes)[16]) noexcept {
  for (std::int64_t r = 0; r < 16; ++r) {
    lanes[r] = _mm512_maskz_loadu_epi8(mask, rows + (r < last ? r : last) * stride);
  }
  turn_round(lanes);
}

/// Codes [begin, end) of group `group`.
struct Depths {
  std::int64_t group;
  std::int64_t begin;
  std::int64_t end;
  bool ends_group;

  /// The first of them in a row of the layout.
  [[nodiscard]] std::int64_t in_row(const TileView& tile) const noexcept { return group * tile.group_size + begin; }
};

/// How much of a panel's depth is laid out at a time: what the first cache holds; for many tokens a whole group, since
/// to break off their sums costs more than to lay out into the second cache.
inline std::int64_t chunk_depth(std::int64_t tokens, const TileView& tile) noexcept {
  constexpr std::int64_t in_first_cache = 256;
  const std::int64_t group = (tile.group_size + step_codes - 1) / step_codes * step_codes;
  return tokens < 160 && group > in_first_cache ? in_first_cache : group;
}

inline std::int64_t chunk_bytes(std::int64_t tokens, const TileView& tile) noexcept {
  return chunk_depth(tokens, tile) * tile_t8.panel_outputs;
}

/// Those that follow, at most `chunk` of them.
inline Depths next(const TileView& tile, const Depths& depths, std::int64_t chunk) noexcept {
  Depths next{depths.group, depths.end, 0, false};
  if (depths.ends_group) next = {depths.group + 1, 0, 0, false};
  const std::int64_t rest = tile.depth - next.group * tile.group_size;
  const std::int64_t size = rest < tile.group_size ? rest : tile.group_size;
  next.ends_group = size - next.begin <= chunk;
  next.end = next.ends_group ? size : next.begin + chunk;
  return next;
}

/// What a tile of tokens has beside a chunk. Of each token: most_vectors vectors.
struct Bench {
  const std::byte* ahead;     ///< 16 rows that are needed next, to be brought nearer meanwhile
  std::int64_t ahead_stride;  ///< bytes
  __m512i* sums;              ///< of the chunks of this group before
  __m512* terms;              ///< of the groups before
};

/// T tokens from `place` on by the codes that were laid out.
template <typename Format, unsigned T>
void add(const GemmArguments& a, const Place& place, const Depths& depths, const Bench& bench) noexcept {
  const std::int64_t stride = a.tile.groups * a.tile.group_stride;
  const std::int8_t* x = a.activations + place.token * stride + depths.group * a.tile.group_stride + depths.begin;
  const std::byte* w = a.workspace;
  __m512i acc[T][most_vectors];
#pragma GCC unroll 6
  for (unsigned t = 0; t < T; ++t) {
    for (unsigned v = 0; v < most_vectors; ++v) {
      acc[t][v] = depths.begin == 0 ? _mm512_setzero_si512() : bench.sums[t * most_vectors + v];
    }
  }
  const std::int64_t steps = (depths.end - depths.begin + lane_codes - 1) / lane_codes;
  for (std::int64_t s = 0; s < steps; ++s, x += lane_codes, w += 64 * most_vectors) {
    ask_for(bench.ahead + s % 16 * bench.ahead_stride + s / 16 * 64);
    __m512i weights[most_vectors];
    for (unsigned v = 0; v < most_vectors; ++v) weights[v] = load(w + 64 * v);
#pragma GCC unroll 6
    for (unsigned t = 0; t < T; ++t) {
      const __m512i activations = broadcast(x + t * stride);
      for (unsigned v = 0; v < most_vectors; ++v) Format::multiply(acc[t][v], weights[v], activations);
    }
  }
#pragma GCC unroll 6
  for (unsigned t = 0; t < T; ++t) {
    for (unsigned v = 0; v < most_vectors; ++v) bench.sums[t * most_vectors + v] = acc[t][v];
  }
}

template <typename Format>
constexpr void (*adds[most_tokens])(const GemmArguments&, const Place&, const Depths&, const Bench&) noexcept = {
    add<Format, 1>, add<Format, 2>, add<Format, 3>, add<Format, 4>, add<Format, 5>, add<Format, 6>};

/// The sums of a group are whole: they become terms, or with the last group outputs.
template <typename Format>
inline void end_group(const GemmArguments& a, const Place& place, unsigned tokens, std::int64_t g,
                      const Bench& bench) noexcept {
  const bool last = g + 1 == a.tile.groups;
  for (unsigned v = 0; v < most_vectors; ++v) {
    const typename Format::Exact exact(a, place, g, v);
    const Outputs<typename Format::Order> outputs(a, place, v);
    for (unsigned t = 0; t < tokens; ++t) {
      __m512& terms = bench.terms[t * most_vectors + v];
      __m512 sum = term(a.tile, place, g, v, exact(place.token + t, bench.sums[t * most_vectors + v]));
      if (g > 0) sum = _mm512_add_ps(terms, sum);
      if (last) {
        outputs.finish(place.token + t, sum);
      } else {
        terms = sum;
      }
    }
  }
}

/// Has the lines of outputs brought nearer: a panel's lie apart, so that no CPU expects them.
template <typename Format>
inline void expect_outputs(const GemmArguments& a, const Place& place, unsigned tokens) noexcept {
  const std::int64_t size = a.y_dtype == DType::f32 ? 4 : 2;
  for (unsigned t = 0; t < tokens; ++t) {
    for (unsigned v = 0; v < most_vectors; ++v) {
      const std::int64_t first = Format::Order::columns(a.tile, place.panel, v).first;
      __builtin_prefetch(static_cast<const std::byte*>(a.y) + ((place.token + t) * a.tile.outputs + first) * size, 1);
    }
  }
}

/// Tokens [first, first + count), a block of them, by a panel that is laid out chunk by chunk.
template <typename Format>
void laid_out(const GemmArguments& a, const Place& first, std::int64_t count) noexcept {
  auto* const sums = reinterpret_cast<__m512i*>(a.workspace + chunk_bytes(a.tokens, a.tile));
  auto* const terms = reinterpret_cast<__m512*>(sums + count * most_vectors);
  const std::int64_t chunk = chunk_depth(a.tokens, a.tile);
  const std::int64_t stride = a.tile.groups * a.tile.group_stride;
  Depths depths = next(a.tile, {0, 0, 0, false}, chunk);
  while (depths.group < a.tile.groups) {
    Format::lay_out(a.tile, first.panel, depths, a.workspace);
    const Depths after = next(a.tile, depths, chunk);
    const bool last = after.group == a.tile.groups;
    const std::byte* const rows = last ? Format::row_at(a.tile, first.panel + 1, 0)
                                       : Format::row_at(a.tile, first.panel, 0) + after.in_row(a.tile);
    std::int64_t asked = 0;
    for (std::int64_t t = 0; t < count; asked += 16) {
      const unsigned tokens = tokens_of(count, t);
      const Place place{first.token + t, first.panel};
      const std::int64_t x_after = (place.token + tokens) * stride + depths.group * a.tile.group_stride + depths.begin;
      const bool ask_for_rows = asked < Format::panel_rows;
      const Bench bench{.ahead = ask_for_rows ? rows + asked * a.tile.depth
                                              : reinterpret_cast<const std::byte*>(a.activations) + x_after,
                        .ahead_stride = ask_for_rows ? a.tile.depth : stride,
                        .sums = sums + t * most_vectors,
                        .terms = terms + t * most_vectors};
      if (last) expect_outputs<Format>(a, place, tokens);
      adds<Format>[tokens - 1](a, place, depths, bench);
      if (depths.ends_group) end_group<Format>(a, place, tokens, depths.group, bench);
      t += tokens;
    }
    depths = after;
  }
}

/// All tokens by panels that are laid out.
template <typename Format>
void run_laid_out(const GemmArguments& a) noexcept {
  for (std::int64_t panel = a.first_panel; panel < a.last_panel; ++panel) {
    for (std::int64_t token = 0; token < a.tokens; token += block_tokens) {
      const std::int64_t left = a.tokens - token;
      laid_out<Format>(a, {token, panel}, left < block_tokens ? left : block_tokens);
    }
  }
}

/// All tokens by panels as they lie, tile by tile: tiles[T - 1] takes T tokens.
template <typename Tile>
void run_as_they_lie(const GemmArguments& a, const Tile (&tiles)[most_tokens]) noexcept {
  for (std::int64_t panel = a.first_panel; panel < a.last_panel; ++panel) {
    for (std::int64_t token = 0; token < a.tokens;) {
      const unsigned count = tokens_of(a.tokens, token);
      tiles[count - 1](a, {token, panel});
      token += count;
    }
  }
}

inline std::size_t laid_out_bytes(std::int64_t tokens, const TileView& tile) noexcept {
  const std::int64_t sums = (tokens < block_tokens ? tokens : block_tokens) * sums_bytes;
  return static_cast<std::size_t>(chunk_bytes(tokens, tile) + (tile.groups > 1 ? 2 : 1) * sums);
}

}  // namespace
}  // namespace bnq::detail
