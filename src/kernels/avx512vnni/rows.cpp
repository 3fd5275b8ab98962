// Quantizing, 16 elements at a time. The order of float64 sums is that of docs/schemes.rst, "Means": lane i mod 16, so
// that two registers of 8 are the lanes.

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
  const std::uint32_t bits = _mm512_reduce_max_epu32(all);
  float result;
  __builtin_memcpy(&result, &bits, sizeof result);
  return result;
}

/// Lanes 0 to 7 and 8 to 15 of a sum.
struct Lanes {
  __m512d low = _mm512_setzero_pd();
  __m512d high = _mm512_setzero_pd();

  void add(__m512d first, __m512d second) noexcept {
    low = _mm512_add_pd(low, first);
    high = _mm512_add_pd(high, second);
  }

  /// Lane i adds lane i + 8, then i + 4, i + 2, i + 1.
  [[nodiscard]] double fold() const noexcept {
    const __m512d eight = _mm512_add_pd(low, high);
    const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd(eight, 1));
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
  }
};

inline __m512d upper_half(__m512 values) noexcept {
  return _mm512_cvtps_pd(_mm256_castsi256_ps(_mm512_extracti64x4_epi64(_mm512_castps_si512(values), 1)));
}

inline __m512d magnitude(__m512d values) noexcept {
  return _mm512_castsi512_pd(_mm512_and_si512(_mm512_castpd_si512(values), _mm512_set1_epi64(0x7FFF'FFFF'FFFF'FFFF)));
}

BlockSums sums(const float* values, std::int64_t count) noexcept {
  Lanes sum;
  Lanes abs_sum;
  // Bits of the smallest magnitude less one: zero wraps round to the largest. Starts at infinity.
  __m512i smallest = _mm512_set1_epi32(0x7F80'0000 - 1);
  for (std::int64_t i = 0; i < count; i += width) {
    // Past the end zeros are added: x + 0 is x, and a lane's -0 + 0 only loses a sign that no mean shows.
    const __m512 x = _mm512_maskz_loadu_ps(first(count - i), values + i);
    const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(x));
    const __m512d high = upper_half(x);
    sum.add(low, high);
    abs_sum.add(magnitude(low), magnitude(high));
    smallest = _mm512_min_epu32(smallest, _mm512_sub_epi32(magnitude_bits(x), _mm512_set1_epi32(1)));
  }
  const std::uint32_t bits = _mm512_reduce_min_epu32(smallest) + 1;
  float absmin_nonzero;
  __builtin_memcpy(&absmin_nonzero, &bits, sizeof bits);
  return {sum.fold(), abs_sum.fold(), absmin_nonzero};
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

void divide(const float* values, std::int64_t count, const CodeRule& rule, std::int8_t* codes) noexcept {
  const __m512 factor = _mm512_set1_ps(rule.factor);
  encode(values, count, rule, codes, [&](__m512 x) noexcept { return _mm512_div_ps(x, factor); });
}

void multiply(const float* values, std::int64_t count, const CodeRule& rule, std::int8_t* codes) noexcept {
  const __m512 factor = _mm512_set1_ps(rule.factor);
  encode(values, count, rule, codes, [&](__m512 x) noexcept { return _mm512_mul_ps(x, factor); });
}

void widen_f16(const std::uint16_t* values, std::int64_t count, float* out) noexcept {
  for (std::int64_t i = 0; i < count; i += width) {
    const __mmask16 mask = first(count - i);
    _mm512_mask_storeu_ps(out + i, mask, _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, values + i)));
  }
}

void widen_bf16(const std::uint16_t* values, std::int64_t count, float* out) noexcept {
  for (std::int64_t i = 0; i < count; i += width) {
    const __mmask16 mask = first(count - i);
    const __m512i bits = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, values + i));
    _mm512_mask_storeu_ps(out + i, mask, _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16)));
  }
}

}  // namespace

constinit const RowKernels rows_avx512vnni{.isa = Isa::avx512vnni,
                                           .absmax = absmax,
                                           .sums = sums,
                                           .divide = divide,
                                           .multiply = multiply,
                                           .widen_f16 = widen_f16,
                                           .widen_bf16 = widen_bf16};

}  // namespace bnq::detail
