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

  void add(__m512 values) noexcept {
    low = _mm512_add_pd(low, _mm512_cvtps_pd(_mm512_castps512_ps256(values)));
    high = _mm512_add_pd(high, _mm512_cvtps_pd(_mm512_castps512_ps256(_mm512_castsi512_ps(
                                   _mm512_alignr_epi32(_mm512_castps_si512(values), _mm512_castps_si512(values), 8)))));
  }

  /// Lane i adds lane i + 8, then i + 4, i + 2, i + 1.
  [[nodiscard]] double fold() const noexcept {
    const __m512d eight = _mm512_add_pd(low, high);
    const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd(eight, 1));
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
  }
};

BlockSums sums(const float* values, std::int64_t count) noexcept {
  Lanes sum;
  Lanes abs_sum;
  const __m512 infinity = _mm512_castsi512_ps(_mm512_set1_epi32(0x7F800000));
  __m512 smallest = infinity;
  for (std::int64_t i = 0; i < count; i += width) {
    // Past the end zeros are added: x + 0 is x, and a lane's -0 + 0 only loses a sign that no mean shows.
    const __m512 x = _mm512_maskz_loadu_ps(first(count - i), values + i);
    const __m512 magnitude = _mm512_castsi512_ps(magnitude_bits(x));
    sum.add(x);
    abs_sum.add(magnitude);
    const __mmask16 nonzero = _mm512_cmp_ps_mask(magnitude, _mm512_setzero_ps(), _CMP_GT_OQ);
    smallest = _mm512_mask_min_ps(smallest, nonzero, smallest, magnitude);
  }
  return {sum.fold(), abs_sum.fold(), _mm512_reduce_min_ps(smallest)};
}

/// Clamping first gives the same codes as rounding first, since the bounds are whole numbers.
inline void write_codes(__m512 values, const CodeRule& rule, __mmask16 mask, std::int8_t* codes) noexcept {
  const __m512 low = _mm512_set1_ps(static_cast<float>(rule.low));
  const __m512 high = _mm512_set1_ps(static_cast<float>(rule.high));
  const __m512i rounded = _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(values, low), high));
  _mm512_mask_cvtepi32_storeu_epi8(codes, mask, rounded);
}

void divide(const float* values, std::int64_t count, const CodeRule& rule, std::int8_t* codes) noexcept {
  const __m512 factor = _mm512_set1_ps(rule.factor);
  for (std::int64_t i = 0; i < count; i += width) {
    const __mmask16 mask = first(count - i);
    write_codes(_mm512_div_ps(_mm512_maskz_loadu_ps(mask, values + i), factor), rule, mask, codes + i);
  }
}

void multiply(const float* values, std::int64_t count, const CodeRule& rule, std::int8_t* codes) noexcept {
  const __m512 factor = _mm512_set1_ps(rule.factor);
  for (std::int64_t i = 0; i < count; i += width) {
    const __mmask16 mask = first(count - i);
    write_codes(_mm512_mul_ps(_mm512_maskz_loadu_ps(mask, values + i), factor), rule, mask, codes + i);
  }
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
