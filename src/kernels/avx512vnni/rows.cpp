// Quantizing, 16 elements at a time. The order of float64 sums is that of docs/schemes.rst, "Means".

#include "kernels/avx512vnni/lanes.h"

namespace bnq::detail {
namespace {

constexpr std::int64_t width = 16;  // elements

inline __mmask16 first(std::int64_t count) noexcept {
  return static_cast<__mmask16>(count >= width ? 0xFFFF : (1 << count) - 1);
}

inline __m512i magnitude_bits(__m512 values) noexcept {
  return _mm512_and_si512(_mm512_castps_si512(values), _mm512_set1_epi32(0x7FFFFFFF));
}

inline float float_of(std::uint32_t bits) noexcept {
  float result;
  __builtin_memcpy(&result, &bits, sizeof result);
  return result;
}

float absmax(const float* values, std::int64_t count) noexcept {
  __m512i largest[4] = {};  // independent, since a maximum takes longer than a load
  std::int64_t i = 0;
  for (; i + 4 * width <= count; i += 4 * width) {
    for (unsigned j = 0; j < 4; ++j) {
      largest[j] = _mm512_max_epu32(largest[j], magnitude_bits(_mm512_loadu_ps(values + i + j * width)));
    }
  }
  for (; i < count; i += width) {
    largest[0] = _mm512_max_epu32(largest[0], magnitude_bits(_mm512_maskz_loadu_ps(first(count - i), values + i)));
  }
  const __m512i all =
      _mm512_max_epu32(_mm512_max_epu32(largest[0], largest[1]), _mm512_max_epu32(largest[2], largest[3]));
  return float_of(_mm512_reduce_max_epu32(all));
}

/// The 16 lanes of a sum, two registers of 8 in which lanes i and i + 8 stand 4 apart.
struct Lanes {
  __m512d even = _mm512_setzero_pd();
  __m512d odd = _mm512_setzero_pd();

  void add(__m512d evens, __m512d odds) noexcept {
    even = _mm512_add_pd(even, evens);
    odd = _mm512_add_pd(odd, odds);
  }

  /// Lane i adds lane i + 8, then i + 4, i + 2, i + 1.
  [[nodiscard]] double fold() const noexcept { return folded(even) + folded(odd); }

 private:
  static double folded(__m512d eight) noexcept {
    const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd(eight, 1));
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
  }
};

// A float's magnitude shifted to where float64 has its exponent is the magnitude times 2^-896, subnormal ones included.
// So sums are taken of that: a conversion would take longer than all else. No bit gets lost below the smallest float64
// either: there the sums are multiples of 2^-1045, and as the sum of unscaled values exact.
constexpr double unscaled = 0x1p+896;

/// What a block's magnitudes are gathered in.
struct Seen {
  Lanes scaled;
  __m512i largest = _mm512_setzero_si512();
  // Bits of the smallest magnitude less one: zero wraps round to the largest. Starts at infinity.
  __m512i smallest = _mm512_set1_epi32(0x7F80'0000 - 1);

  void see(__m512 values) noexcept {
    const __m512i bits = magnitude_bits(values);
    const __m512i evens = _mm512_mul_epu32(bits, _mm512_set1_epi64(std::int64_t{1} << 29));
    const __m512i odds = _mm512_and_si512(_mm512_srli_epi64(bits, 3), _mm512_set1_epi64(-(std::int64_t{1} << 29)));
    scaled.add(_mm512_castsi512_pd(evens), _mm512_castsi512_pd(odds));
    largest = _mm512_max_epu32(largest, bits);
    smallest = _mm512_min_epu32(smallest, _mm512_sub_epi32(bits, _mm512_set1_epi32(1)));
  }
};

// Past the end zeros are added: x + 0 is x, and a lane's -0 + 0 only loses a sign that no mean shows.

Magnitudes magnitudes(const float* values, std::int64_t count) noexcept {
  Seen all;
  std::int64_t i = 0;
  for (; i + width <= count; i += width) all.see(_mm512_loadu_ps(values + i));
  if (i < count) all.see(_mm512_maskz_loadu_ps(first(count - i), values + i));
  return {float_of(_mm512_reduce_max_epu32(all.largest)), float_of(_mm512_reduce_min_epu32(all.smallest) + 1),
          all.scaled.fold() * unscaled};
}

double sum(const float* values, std::int64_t count) noexcept {
  Lanes lanes;
  for (std::int64_t i = 0; i < count; i += width) {
    const __m512i bits = _mm512_castps_si512(_mm512_maskz_loadu_ps(first(count - i), values + i));
    const __m512i sorted =
        _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15), bits);
    lanes.add(_mm512_cvtps_pd(_mm256_castsi256_ps(_mm512_castsi512_si256(sorted))),
              _mm512_cvtps_pd(_mm256_castsi256_ps(_mm512_extracti64x4_epi64(sorted, 1))));
  }
  return lanes.fold();
}

/// Sixteen codes as int32, too low ones still too low. Clamping first gives the same codes as rounding first, since the
/// bounds are whole numbers; what is far below becomes the smallest int32.
inline __m512i rounded(__m512 values, const CodeRule& rule) noexcept {
  return _mm512_cvtps_epi32(_mm512_min_ps(values, _mm512_set1_ps(static_cast<float>(rule.high))));
}

/// 64 codes from four registers. Narrowing works in quarters of a register: their parts are put back in order.
inline __m512i narrowed(const __m512i (&codes)[4], const CodeRule& rule) noexcept {
  const __m512i words[2] = {_mm512_packs_epi32(codes[0], codes[1]), _mm512_packs_epi32(codes[2], codes[3])};
  const __m512i bytes = _mm512_packs_epi16(words[0], words[1]);
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i low = _mm512_set1_epi8(static_cast<char>(rule.low));
  return _mm512_max_epi8(_mm512_permutexvar_epi32(order, bytes), low);
}

template <typename Scale>
inline void encode(const float* values, std::int64_t count, const CodeRule& rule, std::int8_t* codes,
                   const Scale& scale) noexcept {
  std::int64_t i = 0;
  for (; i + 4 * width <= count; i += 4 * width) {
    __m512i four[4];
    for (unsigned j = 0; j < 4; ++j) four[j] = rounded(scale(_mm512_loadu_ps(values + i + j * width)), rule);
    _mm512_storeu_si512(codes + i, narrowed(four, rule));
  }
  const __m512i low = _mm512_set1_epi32(rule.low);
  for (; i < count; i += width) {
    const __mmask16 mask = first(count - i);
    const __m512i sixteen = rounded(scale(_mm512_maskz_loadu_ps(mask, values + i)), rule);
    _mm512_mask_cvtepi32_storeu_epi8(codes + i, mask, _mm512_max_epi32(sixteen, low));
  }
}

// A division takes as long as ten products, so x / s is computed as x * r with r = 1 / s rounded, and again by a true
// division where that may give another code. r and the product are rounded once each, the quotient once as well: within
// 3 * 2^-24 of it the two agree, relatively, while r is a normal number. Codes end at +-128; up to 130 that is less
// than 2^-15 absolutely, and beyond 130 both are clamped. So the codes are equal unless x * r is within 2^-15 of
// halfway between two whole numbers (or NaN).
constexpr float far_from_halfway = 0.5F - 0x1p-15F;
constexpr float largest_reciprocal_factor = 0x1p126F;  // the reciprocal of a larger one is not normal

/// Lanes whose product may round to another whole number than the quotient.
inline __mmask16 doubtful(__m512 product) noexcept {
  const __m512 from_whole = _mm512_sub_ps(product, _mm512_roundscale_ps(product, _MM_FROUND_TO_NEAREST_INT));
  return _mm512_cmp_ps_mask(_mm512_abs_ps(from_whole), _mm512_set1_ps(far_from_halfway), _CMP_NLT_UQ);
}

void divide(const float* values, std::int64_t count, const CodeRule& rule, std::int8_t* codes) noexcept {
  const __m512 factor = _mm512_set1_ps(rule.factor);
  const auto divided = [&](__m512 x) noexcept { return _mm512_div_ps(x, factor); };
  std::int64_t i = 0;
  if (rule.factor <= largest_reciprocal_factor) {
    const __m512 reciprocal = _mm512_set1_ps(1.0F / rule.factor);
    for (; i + 4 * width <= count; i += 4 * width) {
      __m512i four[4];
      __mmask16 doubt = 0;
      for (unsigned j = 0; j < 4; ++j) {
        const __m512 product = _mm512_mul_ps(_mm512_loadu_ps(values + i + j * width), reciprocal);
        doubt |= doubtful(product);
        four[j] = rounded(product, rule);
      }
      if (doubt != 0) [[unlikely]] {
        encode(values + i, 4 * width, rule, codes + i, divided);
      } else {
        _mm512_storeu_si512(codes + i, narrowed(four, rule));
      }
    }
  }
  encode(values + i, count - i, rule, codes + i, divided);
}

void multiply(const float* values, std::int64_t count, const CodeRule& rule, std::int8_t* codes) noexcept {
  const __m512 factor = _mm512_set1_ps(rule.factor);
  encode(values, count, rule, codes, [&](__m512 x) noexcept { return _mm512_mul_ps(x, factor); });
}

template <typename Widen>
inline void widen(const std::uint16_t* values, std::int64_t count, float* out, const Widen& sixteen) noexcept {
  std::int64_t i = 0;
  for (; i + width <= count; i += width) {
    _mm512_storeu_ps(out + i, sixteen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(values + i))));
  }
  if (i == count) return;
  const __mmask16 mask = first(count - i);
  _mm512_mask_storeu_ps(out + i, mask, sixteen(_mm256_maskz_loadu_epi16(mask, values + i)));
}

void widen_f16(const std::uint16_t* values, std::int64_t count, float* out) noexcept {
  widen(values, count, out, [](__m256i bits) noexcept { return _mm512_cvtph_ps(bits); });
}

void widen_bf16(const std::uint16_t* values, std::int64_t count, float* out) noexcept {
  widen(values, count, out,
        [](__m256i bits) noexcept { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16)); });
}

}  // namespace

constinit const RowKernels rows_avx512vnni{.isa = Isa::avx512vnni,
                                           .absmax = absmax,
                                           .magnitudes = magnitudes,
                                           .sum = sum,
                                           .divide = divide,
                                           .multiply = multiply,
                                           .widen_f16 = widen_f16,
                                           .widen_bf16 = widen_bf16};

}  // namespace bnq::detail
