// int8 activations by ternary weights that lie as layout u2_hf has them: byte row j holds outputs j, j + N/4, j + 2N/4
// and j + 3N/4, each at a depth of its own byte. Field f is not shifted down: it counts 4^f, and sums are divided at
// the end; every product has the factor, so nothing is lost. Fields are 0 to 2 for codes -1 to +1: the sum of a token's
// codes is taken away as well.

#include "kernels/avx512vnni/in_place.h"

namespace bnq::detail {
namespace {

constexpr unsigned fields = most_vectors;  // of two bits, in a byte: a vector of a panel each
constexpr std::int64_t byte_rows = 16;     // byte rows

/// Vector f of a panel: field f of its byte rows.
struct ByField {
  static Columns columns(const TileView& tile, std::int64_t panel, unsigned v) noexcept {
    const std::int64_t quarter = tile.outputs / fields;
    return {v * quarter + panel * byte_rows, quarter - panel * byte_rows};
  }
};

inline std::int64_t rows_of(const TileView& tile, std::int64_t panel) noexcept {
  const std::int64_t left = tile.outputs / fields - panel * byte_rows;
  return left < byte_rows ? left : byte_rows;
}

inline const std::byte* byte_row(const TileView& tile, std::int64_t panel, std::int64_t row) noexcept {
  return tile.codes + (panel * byte_rows + row) * tile.depth;
}

inline __m512i field_of(__m512i packed, unsigned f) noexcept {
  return _mm512_and_si512(packed, _mm512_set1_epi8(static_cast<char>(3 << (2 * f))));
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
    const std::int64_t at = ahead<R>(k, tile.depth, tile.depth);
    for (unsigned r = 0; r < R; ++r) ask_for(w + r * tile.depth + at);
    multiply<T, R>(tile, packed, x + k, acc);
  }
  if (k < tile.depth) {
    const __mmask64 mask = first_bytes(tile.depth - k);
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
/// all. One token waits for memory alone, which is fastest in one stream.
template <unsigned T>
void as_they_lie(const GemmArguments& a, const Place& place) noexcept {
  constexpr unsigned R = T == 2 || T == 3 ? 2 : 1;
  const std::int8_t* x = a.activations + place.token * a.tile.group_stride;
  tile_of<T, fields, ByField>(a, place, [&](__m512i(&acc)[T][fields], std::int64_t) noexcept {
    Sums<T> sums;
    const std::int64_t rows = rows_of(a.tile, place.panel);
    std::int64_t row = 0;
    const auto put = [&](unsigned t, unsigned r, __m128i by_field) noexcept { sums.put(t, row + r, by_field); };
    for (; row + R <= rows; row += R) rows_by_tokens<T, R>(a.tile, byte_row(a.tile, place.panel, row), x, put);
    for (; row < rows; ++row) rows_by_tokens<T, 1>(a.tile, byte_row(a.tile, place.panel, row), x, put);
    for (unsigned t = 0; t < T; ++t) sums.take(t, acc[t]);
    take_activation_sums<T, fields>(a, place, acc);
  });
}

/// How a panel is laid out: fields where they stand in their bytes.
struct LaidOut {
  using Order = ByField;
  static constexpr std::int64_t panel_rows = byte_rows;

  static const std::byte* row_at(const TileView& tile, std::int64_t panel, std::int64_t row) noexcept {
    return byte_row(tile, panel, row);
  }

  static void lay_out(const TileView& tile, std::int64_t panel, const Depths& depths, std::byte* out) noexcept {
    const std::int64_t last = rows_of(tile, panel) - 1;
    for (std::int64_t k = depths.begin; k < depths.end; k += step_codes) {
      __m512i lanes[byte_rows];
      load_turned(byte_row(tile, panel, 0) + k, tile.depth, last, first_bytes(depths.end - k), lanes);
      for (const __m512i packed : lanes) {
        for (unsigned f = 0; f < fields; ++f, out += 64) _mm512_store_si512(out, field_of(packed, f));
      }
    }
  }

  static void multiply(__m512i& acc, __m512i weights, __m512i activations) noexcept { dot(acc, weights, activations); }

  class Exact {
   public:
    Exact(const GemmArguments& a, const Place& /*place*/, std::int64_t /*g*/, unsigned v) noexcept
        : sums_(a.activation_sums), factor_bits_(_mm_cvtsi32_si128(static_cast<int>(2 * v))) {}

    __m512i operator()(std::int64_t token, __m512i acc) const noexcept {
      return _mm512_sub_epi32(_mm512_sra_epi32(acc, factor_bits_), _mm512_set1_epi32(sums_[token]));
    }

   private:
    const std::int32_t* sums_;
    __m128i factor_bits_;
  };
};

using Tile = void (*)(const GemmArguments&, const Place&) noexcept;
constexpr Tile tiles[most_tokens] = {as_they_lie<1>, as_they_lie<2>, as_they_lie<3>,
                                     as_they_lie<4>, as_they_lie<5>, as_they_lie<6>};

/// Does laying out pay? The less depth there is, the more a sum across lanes costs beside the products.
bool lays_out(std::int64_t tokens, const TileView& tile) noexcept {
  const std::int64_t from_tokens = 3 + tile.depth / 192;
  return tile.depth > 0 && tokens >= (from_tokens < 16 ? from_tokens : 16);
}

void run(const GemmArguments& a) noexcept {
  return lays_out(a.tokens, a.tile) ? run_laid_out<LaidOut>(a) : run_as_they_lie(a, tiles);
}

/// The widest field counts 64: 2 * 128 * 64 a code has to stay below 2^31 in sum.
constexpr std::int64_t most_codes = 0x7FFFFFFF / (2 * 128 * 64);

const char* refusal(const GemmProblem& problem) {
  if (problem.layout != tile_u2_hf.layout) return "it reads layout u2_hf, and the weights are not packed so";
  return problem.group_size > most_codes ? "its sums would overflow at this depth" : nullptr;
}

std::size_t workspace_bytes(std::int64_t tokens, const TileView& tile) {
  return lays_out(tokens, tile) ? laid_out_bytes(tokens, tile) : 0;
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
