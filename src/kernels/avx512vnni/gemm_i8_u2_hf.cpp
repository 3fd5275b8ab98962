// int8 activations by ternary weights that lie as layout u2_hf has them: byte row j holds outputs j, j + N/4, j + 2N/4
// and j + 3N/4, each at a depth of its own byte. Field f is not shifted down: it counts 4^f, and sums are divided at
// the end; every product has the factor, so nothing is lost. Fields are 0 to 2 for codes -1 to +1: the sum of a token's
// codes is taken away as well.
//
// A few tokens read the bytes as they lie, the depth across the lanes, and each sum runs across the lanes at its end.
// For more tokens a panel's fields are laid out as bytes in the workspace, one output a lane, which then costs less.

#include "kernels/avx512vnni/lanes.h"

namespace bnq::detail {
namespace {

constexpr unsigned fields = 4;             // of two bits, in a byte
constexpr std::int64_t panel_rows = 16;    // byte rows of a panel
constexpr std::int64_t step_codes = 64;    // of depth, in a vector
constexpr std::int64_t lane_codes = 4;     // of depth, in a lane
constexpr std::int64_t chunk_depth = 256;  // of a panel, laid out: it has to stay in the first cache
constexpr std::int64_t chunk_bytes = chunk_depth * 64;
constexpr std::int64_t block_tokens = 480;  // tokens

/// Vector f of a panel: field f of its byte rows.
struct ByField {
  static Columns columns(const TileView& tile, std::int64_t panel, unsigned v) noexcept {
    const std::int64_t quarter = tile.outputs / fields;
    return {v * quarter + panel * panel_rows, quarter - panel * panel_rows};
  }
};

inline std::int64_t rows_of(const TileView& tile, std::int64_t panel) noexcept {
  const std::int64_t left = tile.outputs / fields - panel * panel_rows;
  return left < panel_rows ? left : panel_rows;
}

inline const std::byte* row_at(const TileView& tile, std::int64_t panel, std::int64_t row) noexcept {
  return tile.codes + (panel * panel_rows + row) * tile.depth;
}

inline __mmask64 tail_mask(std::int64_t count) noexcept { return (__mmask64{1} << count) - 1; }

inline __m512i field_of(__m512i packed, unsigned f) noexcept {
  return _mm512_and_si512(packed, _mm512_set1_epi8(static_cast<char>(3 << (2 * f))));
}

/// Lane f: the sum of all lanes of acc[f].
inline __m128i sums_of(const __m512i (&acc)[fields]) noexcept {
  const __m512i pairs[2] = {
      _mm512_add_epi32(_mm512_unpacklo_epi32(acc[0], acc[1]), _mm512_unpackhi_epi32(acc[0], acc[1])),
      _mm512_add_epi32(_mm512_unpacklo_epi32(acc[2], acc[3]), _mm512_unpackhi_epi32(acc[2], acc[3]))};
  const __m512i quads =
      _mm512_add_epi32(_mm512_unpacklo_epi64(pairs[0], pairs[1]), _mm512_unpackhi_epi64(pairs[0], pairs[1]));
  const __m256i halves = _mm256_add_epi32(_mm512_castsi512_si256(quads), _mm512_extracti64x4_epi64(quads, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
}

/// Sums of T tokens by the byte rows of a panel. Row 4i + j stands in lanes 4i to 4i + 3 of vector j, a lane a field.
template <unsigned T>
struct Sums {
  __m512i vectors[T][4];

  void put(unsigned t, std::int64_t row, __m128i by_field) noexcept {
    _mm_store_si128(reinterpret_cast<__m128i*>(&vectors[t][row % 4]) + row / 4, by_field);
  }

  /// Turned round: vector f has field f of rows 0 to 15.
  void take(unsigned t, __m512i (&acc)[fields]) const noexcept {
    const __m512i(&v)[4] = vectors[t];
    const __m512i low[2] = {_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpacklo_epi32(v[2], v[3])};
    const __m512i high[2] = {_mm512_unpackhi_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[2], v[3])};
    acc[0] = _mm512_unpacklo_epi64(low[0], low[1]);
    acc[1] = _mm512_unpackhi_epi64(low[0], low[1]);
    acc[2] = _mm512_unpacklo_epi64(high[0], high[1]);
    acc[3] = _mm512_unpackhi_epi64(high[0], high[1]);
  }
};

/// acc[R * t + r][f] += field f of a vector of byte row r by token t.
template <unsigned T, unsigned R>
inline void multiply(const TileView& tile, const __m512i (&packed)[R], const std::int8_t* x,
                     __m512i (&acc)[T * R][fields]) noexcept {
#pragma GCC unroll 4
  for (unsigned r = 0; r < R; ++r) {
    __m512i weights[fields];
    for (unsigned f = 0; f < fields; ++f) weights[f] = field_of(packed[r], f);
#pragma GCC unroll 6
    for (unsigned t = 0; t < T; ++t) {
      const __m512i activations = _mm512_loadu_si512(x + t * tile.group_stride);
      for (unsigned f = 0; f < fields; ++f) dot(acc[R * t + r][f], weights[f], activations);
    }
  }
}

/// R byte rows from `w` on by T tokens; calls `put(token, row, sums by field)`.
template <unsigned T, unsigned R, typename Put>
inline void rows_by_tokens(const TileView& tile, const std::byte* w, const std::int8_t* x, const Put& put) noexcept {
  __m512i acc[T * R][fields];
  for (auto& row : acc) {
    for (__m512i& sum : row) sum = _mm512_setzero_si512();
  }
  __m512i packed[R];
  std::int64_t k = 0;
  for (; k + step_codes <= tile.depth; k += step_codes) {
    for (unsigned r = 0; r < R; ++r) packed[r] = load(w + r * tile.depth + k);
    if constexpr (T <= 2) {
      for (unsigned r = 0; r < R; ++r) {
        _mm_prefetch(reinterpret_cast<const char*>(w + (R + r) * tile.depth + k), _MM_HINT_T0);
      }
    }
    multiply<T, R>(tile, packed, x + k, acc);
  }
  if (k < tile.depth) {
    const __mmask64 mask = tail_mask(tile.depth - k);
    for (unsigned r = 0; r < R; ++r) packed[r] = _mm512_maskz_loadu_epi8(mask, w + r * tile.depth + k);
    multiply<T, R>(tile, packed, x + k, acc);
  }
  const __m128i factor_bits = _mm_setr_epi32(0, 2, 4, 6);
#pragma GCC unroll 6
  for (unsigned t = 0; t < T; ++t) {
#pragma GCC unroll 4
    for (unsigned r = 0; r < R; ++r) put(t, r, _mm_srav_epi32(sums_of(acc[R * t + r]), factor_bits));
  }
}

template <unsigned T, unsigned V>
inline void take_activation_sums(const GemmArguments& a, const Place& place, __m512i (&acc)[T][V]) noexcept {
  for (unsigned t = 0; t < T; ++t) {
    const __m512i sum = _mm512_set1_epi32(a.activation_sums[place.token + t]);
    for (unsigned v = 0; v < V; ++v) acc[t][v] = _mm512_sub_epi32(acc[t][v], sum);
  }
}

/// A few tokens. Byte rows side by side, as many as there are registers for their sums: each activation serves them
/// all.
template <unsigned T>
void in_place(const GemmArguments& a, const Place& place) noexcept {
  constexpr unsigned R = T == 1 ? 4 : T <= 3 ? 2 : 1;
  const std::int8_t* x = a.activations + place.token * a.tile.group_stride;
  tile_of<T, fields, ByField>(a, place, [&](__m512i(&acc)[T][fields], std::int64_t) noexcept {
    Sums<T> sums;
    const std::int64_t rows = rows_of(a.tile, place.panel);
    std::int64_t row = 0;
    const auto put = [&](unsigned t, unsigned r, __m128i by_field) noexcept { sums.put(t, row + r, by_field); };
    for (; row + R <= rows; row += R) rows_by_tokens<T, R>(a.tile, row_at(a.tile, place.panel, row), x, put);
    for (; row < rows; ++row) rows_by_tokens<T, 1>(a.tile, row_at(a.tile, place.panel, row), x, put);
    for (unsigned t = 0; t < T; ++t) sums.take(t, acc[t]);
    take_activation_sums<T, fields>(a, place, acc);
  });
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

/// Depths [begin, end) of a panel.
struct Depths {
  std::int64_t begin;
  std::int64_t end;
};

/// Lays out a panel's codes: for each 4 of depth and each field a vector with a byte row a lane, the fields where they
/// stand in their bytes.
void lay_out(const TileView& tile, std::int64_t panel, const Depths& depths, std::byte* out) noexcept {
  const std::int64_t last = rows_of(tile, panel) - 1;
  for (std::int64_t k = depths.begin; k < depths.end; k += step_codes) {
    const std::int64_t left = depths.end - k;
    const __mmask64 mask = left >= step_codes ? ~__mmask64{0} : tail_mask(left);
    __m512i lanes[panel_rows];
    for (std::int64_t r = 0; r < panel_rows; ++r) {  // past the last row: its sums are not written
      lanes[r] = _mm512_maskz_loadu_epi8(mask, row_at(tile, panel, r < last ? r : last) + k);
    }
    turn_round(lanes);
    for (const __m512i packed : lanes) {
      for (unsigned f = 0; f < fields; ++f, out += 64) _mm512_store_si512(out, field_of(packed, f));
    }
  }
}

/// Where a tile of tokens stands in a panel that is laid out chunk by chunk.
struct Chunk {
  Depths depths;
  const void* ahead;  ///< rows that are needed next, to be brought nearer meanwhile
  std::int64_t ahead_stride;
  __m512i* sums;  ///< [T, fields], of the chunks before
};

/// acc = sums + T tokens by the codes of a chunk.
template <unsigned T>
inline void add(const GemmArguments& a, std::int64_t token, const Chunk& chunk, __m512i (&acc)[T][fields]) noexcept {
  const std::int8_t* x = a.activations + token * a.tile.group_stride + chunk.depths.begin;
  const std::byte* w = a.workspace;
#pragma GCC unroll 6
  for (unsigned t = 0; t < T; ++t) {
    for (unsigned f = 0; f < fields; ++f) acc[t][f] = _mm512_load_si512(chunk.sums + t * fields + f);
  }
  const std::int64_t steps = (chunk.depths.end - chunk.depths.begin + lane_codes - 1) / lane_codes;
  for (std::int64_t s = 0; s < steps; ++s, x += lane_codes, w += 64 * fields) {
    _mm_prefetch(static_cast<const char*>(chunk.ahead) + s % panel_rows * chunk.ahead_stride + s / panel_rows * 64,
                 _MM_HINT_T0);
    __m512i weights[fields];
    for (unsigned f = 0; f < fields; ++f) weights[f] = load(w + 64 * f);
#pragma GCC unroll 6
    for (unsigned t = 0; t < T; ++t) {
      const __m512i activations = broadcast(x + t * a.tile.group_stride);
      for (unsigned f = 0; f < fields; ++f) dot(acc[t][f], weights[f], activations);
    }
  }
}

template <unsigned T>
void add_chunk(const GemmArguments& a, const Place& place, const Chunk& chunk) noexcept {
  __m512i acc[T][fields];
  add<T>(a, place.token, chunk, acc);
#pragma GCC unroll 6
  for (unsigned t = 0; t < T; ++t) {
    for (unsigned f = 0; f < fields; ++f) _mm512_store_si512(chunk.sums + t * fields + f, acc[t][f]);
  }
}

template <unsigned T>
void finish_chunk(const GemmArguments& a, const Place& place, const Chunk& chunk) noexcept {
  const std::int64_t size = a.y_dtype == DType::f32 ? 4 : 2;
  for (unsigned t = 0; t < T; ++t) {
    for (unsigned f = 0; f < fields; ++f) {
      const std::int64_t at = (place.token + t) * a.tile.outputs + ByField::columns(a.tile, place.panel, f).first;
      __builtin_prefetch(static_cast<const std::byte*>(a.y) + at * size, 1, 3);
    }
  }
  tile_of<T, fields, ByField>(a, place, [&](__m512i(&acc)[T][fields], std::int64_t) noexcept {
    add<T>(a, place.token, chunk, acc);
    for (unsigned t = 0; t < T; ++t) {
      for (unsigned f = 1; f < fields; ++f) acc[t][f] = _mm512_srai_epi32(acc[t][f], 2 * f);
    }
    take_activation_sums<T, fields>(a, place, acc);
  });
}

using ByChunk = void (*)(const GemmArguments&, const Place&, const Chunk&) noexcept;
constexpr ByChunk add_chunks[most_tokens] = {add_chunk<1>, add_chunk<2>, add_chunk<3>,
                                             add_chunk<4>, add_chunk<5>, add_chunk<6>};
constexpr ByChunk finish_chunks[most_tokens] = {finish_chunk<1>, finish_chunk<2>, finish_chunk<3>,
                                                finish_chunk<4>, finish_chunk<5>, finish_chunk<6>};

/// More tokens: [first, first + count), a block of them.
void laid_out(const GemmArguments& a, std::int64_t panel, std::int64_t first, std::int64_t count) noexcept {
  auto* const sums = reinterpret_cast<__m512i*>(a.workspace + chunk_bytes);
  for (std::int64_t i = 0; i < count * fields; ++i) sums[i] = _mm512_setzero_si512();
  for (Depths depths{0, 0}; depths.begin < a.tile.depth; depths.begin = depths.end) {
    const std::int64_t left = a.tile.depth - depths.begin;
    depths.end = depths.begin + (left < chunk_depth ? left : chunk_depth);
    const bool last = depths.end == a.tile.depth;
    lay_out(a.tile, panel, depths, a.workspace);
    const void* ahead = last ? row_at(a.tile, panel + 1, 0) : row_at(a.tile, panel, 0) + depths.end;
    std::int64_t stride = a.tile.depth;
    for (std::int64_t t = 0; t < count;) {
      const unsigned tokens = tokens_of(count, t);
      (last ? finish_chunks : add_chunks)[tokens - 1](a, {first + t, panel},
                                                      {depths, ahead, stride, sums + t * fields});
      t += tokens;
      stride = a.tile.group_stride;
      ahead = a.activations + (first + t + most_tokens) * stride + depths.begin;
    }
  }
}

using Tile = void (*)(const GemmArguments&, const Place&) noexcept;
constexpr Tile tiles[most_tokens] = {in_place<1>, in_place<2>, in_place<3>, in_place<4>, in_place<5>, in_place<6>};

/// Does laying out pay? The less depth there is, the more a sum across lanes costs beside the products.
bool lays_out(std::int64_t tokens, const TileView& tile) noexcept {
  const std::int64_t from_tokens = 3 + tile.depth / 192;
  return tile.depth > 0 && tokens >= (from_tokens < 16 ? from_tokens : 16);
}

void run(const GemmArguments& a) noexcept {
  const bool many = lays_out(a.tokens, a.tile);
  for (std::int64_t panel = a.first_panel; panel < a.last_panel; ++panel) {
    for (std::int64_t token = 0; token < a.tokens;) {
      const std::int64_t left = a.tokens - token;
      if (many) {
        const std::int64_t count = left < block_tokens ? left : block_tokens;
        laid_out(a, panel, token, count);
        token += count;
      } else {
        const unsigned count = tokens_of(a.tokens, token);
        tiles[count - 1](a, {token, panel});
        token += count;
      }
    }
  }
}

/// The widest field counts 64: 2 * 128 * 64 a code has to stay below 2^31 in sum.
constexpr std::int64_t most_codes = 0x7FFFFFFF / (2 * 128 * 64);

const char* refusal(const GemmProblem& problem) {
  if (problem.layout != tile_u2_hf.layout) return "it reads layout u2_hf, and the weights are not packed so";
  return problem.group_size > most_codes ? "its sums would overflow at this depth" : nullptr;
}

std::size_t workspace_bytes(std::int64_t tokens, const TileView& tile) {
  if (!lays_out(tokens, tile)) return 0;
  return static_cast<std::size_t>(chunk_bytes + (tokens < block_tokens ? tokens : block_tokens) * fields * 64);
}

}  // namespace

constinit const Kernel gemm_i8_u2_hf_avx512vnni{.op = "gemm_i8_u2_hf",
                                                .isa = Isa::avx512vnni,
                                                .tile_tokens = most_tokens,
                                                .tile_outputs = tile_u2_hf.panel_outputs,
                                                .tile = tile_u2_hf,
                                                .activation_xor = 0,
                                                .refusal = refusal,
                                                .workspace_bytes = workspace_bytes,
                                                .run = run};

}  // namespace bnq::detail
