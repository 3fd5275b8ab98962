// Quantizing, 8 elements at a time. The order of float64 sums is that of docs/schemes.rst, "Means": lane i mod 16, so
// that four registers of 4 are the lanes. Up to 7 elements at the end go through a padded copy.

#include "kernels/avx2/lanes.h"

namespace bnq::detail {
namespace {

constexpr std::int64_t width = 8;  // elements
constexpr std::int64_t sixteen = 16;

// Eight elements of each dtype as float32.

struct F32 {
  using Element = float;
  static __m256 load(const float* from) noexcept { return _mm256_loadu_ps(from); }
};

inline __m128i halves(const std::uint16_t* from) noexcept {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

struct F16 {
  using Element = std::uint16_t;
  static __m256 load(const Element* from) noexcept { return _mm256_cvtph_ps(halves(from)); }
};

struct Bf16 {
  using Element = std::uint16_t;
  static __m256 load(const Element* from) noexcept {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves(from)), 16));
  }
};

template <typename From>
inline const typename From::Element* elements_of(const void* values) noexcept {
  return static_cast<const typename From::Element*>(values);
}

inline __m256 magnitude(__m256 values) noexcept {
  return _mm256_and_ps(values, _mm256_castsi256_ps(_mm256_set1_epi32(0x7FFFFFFF)));
}

/// `N` elements from `values`, zeros behind the first `count`.
template <std::size_t N, typename T>
struct Padded {
  T elements[N] = {};

  Padded(const T* values, std::int64_t count) noexcept {
    __builtin_memcpy(elements, values, static_cast<std::size_t>(count) * sizeof(T));
  }
};

inline __m256i larger(__m256i a, __m256 values) noexcept {
  return _mm256_max_epu32(a, _mm256_castps_si256(magnitude(values)));
}

/// The largest of eight magnitudes.
inline float largest_of(__m256i all) noexcept {
  __m128i half = _mm_max_epu32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
  half = _mm_max_epu32(half, _mm_shuffle_epi32(half, 0x4E));
  half = _mm_max_epu32(half, _mm_shuffle_epi32(half, 0xB1));
  const int bits = _mm_cvtsi128_si32(half);
  float result;
  __builtin_memcpy(&result, &bits, sizeof result);
  return result;
}

template <typename From>
float absmax(const void* from, std::int64_t count) noexcept {
  const auto* const values = elements_of<From>(from);
  __m256i largest[4] = {};
  std::int64_t i = 0;
  for (; i + 4 * width <= count; i += 4 * width) {
    for (unsigned j = 0; j < 4; ++j) largest[j] = larger(largest[j], From::load(values + i + j * width));
  }
  for (; i + width <= count; i += width) largest[0] = larger(largest[0], From::load(values + i));
  if (i < count)
    largest[0] = larger(largest[0], From::load(Padded<8, typename From::Element>(values + i, count - i).elements));
  const __m256i all =
      _mm256_max_epu32(_mm256_max_epu32(largest[0], largest[1]), _mm256_max_epu32(largest[2], largest[3]));
  return largest_of(all);
}

/// The 16 lanes of a sum.
struct Lanes {
  __m256d quarter[4] = {};

  void add(__m256 first, __m256 second) noexcept {
    quarter[0] = _mm256_add_pd(quarter[0], _mm256_cvtps_pd(_mm256_castps256_ps128(first)));
    quarter[1] = _mm256_add_pd(quarter[1], _mm256_cvtps_pd(_mm256_extractf128_ps(first, 1)));
    quarter[2] = _mm256_add_pd(quarter[2], _mm256_cvtps_pd(_mm256_castps256_ps128(second)));
    quarter[3] = _mm256_add_pd(quarter[3], _mm256_cvtps_pd(_mm256_extractf128_ps(second, 1)));
  }

  /// Lane i adds lane i + 8, then i + 4, i + 2, i + 1.
  [[nodiscard]] double fold() const noexcept {
    const __m256d four = _mm256_add_pd(_mm256_add_pd(quarter[0], quarter[2]), _mm256_add_pd(quarter[1], quarter[3]));
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
  }
};

struct Seen {
  Lanes sum;
  __m256i largest = _mm256_setzero_si256();
  __m256 smallest = _mm256_castsi256_ps(_mm256_set1_epi32(0x7F800000));

  void see(__m256 first_values, __m256 second_values) noexcept {
    const __m256 first = magnitude(first_values);
    const __m256 second = magnitude(second_values);
    sum.add(first, second);
    see_extremes(first);
    see_extremes(second);
  }

  void see_extremes(__m256 magnitudes) noexcept {
    const __m256 zero = _mm256_cmp_ps(magnitudes, _mm256_setzero_ps(), _CMP_EQ_OQ);
    smallest = _mm256_min_ps(smallest, _mm256_blendv_ps(magnitudes, smallest, zero));
    largest = _mm256_max_epu32(largest, _mm256_castps_si256(magnitudes));
  }
};

float least(__m256 values) noexcept {
  __m128 half = _mm_min_ps(_mm256_castps256_ps128(values), _mm256_extractf128_ps(values, 1));
  half = _mm_min_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_min_ss(half, _mm_shuffle_ps(half, half, 1)));
}

// Past the end zeros are added: x + 0 is x, and a lane's -0 + 0 only loses a sign that no mean shows.

template <typename From>
Magnitudes magnitudes(const void* from, std::int64_t count) noexcept {
  const auto* const values = elements_of<From>(from);
  Seen all;
  std::int64_t i = 0;
  for (; i + sixteen <= count; i += sixteen) all.see(From::load(values + i), From::load(values + i + width));
  if (i < count) {
    const Padded<16, typename From::Element> rest(values + i, count - i);
    all.see(From::load(rest.elements), From::load(rest.elements + width));
  }
  return {largest_of(all.largest), least(all.smallest), all.sum.fold()};
}

template <typename From>
double sum(const void* from, std::int64_t count) noexcept {
  const auto* const values = elements_of<From>(from);
  Lanes all;
  std::int64_t i = 0;
  for (; i + sixteen <= count; i += sixteen) {
    all.add(From::load(values + i), From::load(values + i + width));
  }
  if (i < count) {
    const Padded<16, typename From::Element> rest(values + i, count - i);
    all.add(From::load(rest.elements), From::load(rest.elements + width));
  }
  return all.fold();
}

/// Eight codes in the low half. Clamping first gives the same codes as rounding first: the bounds are whole numbers.
inline __m128i codes_of(__m256 values, const CodeRule& rule) noexcept {
  const __m256 low = _mm256_set1_ps(static_cast<float>(rule.low));
  const __m256 high = _mm256_set1_ps(static_cast<float>(rule.high));
  const __m256i rounded = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(values, low), high));
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1));
  return _mm_packs_epi16(words, words);
}

template <typename From, typename Scale>
inline void encode(const typename From::Element* values, std::int64_t count, const CodeRule& rule, std::int8_t* codes,
                   const Scale& scale) noexcept {
  std::int64_t i = 0;
  for (; i + width <= count; i += width) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(codes + i), codes_of(scale(From::load(values + i)), rule));
  }
  if (i == count) return;
  std::int8_t tail[sixteen];
  const Padded<8, typename From::Element> padded(values + i, count - i);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(tail), codes_of(scale(From::load(padded.elements)), rule));
  __builtin_memcpy(codes + i, tail, static_cast<std::size_t>(count - i));
}

template <typename From>
void divide(const void* values, std::int64_t count, const CodeRule& rule, std::int8_t* codes) noexcept {
  const __m256 factor = _mm256_set1_ps(rule.factor);
  encode<From>(elements_of<From>(values), count, rule, codes,
               [&](__m256 x) noexcept { return _mm256_div_ps(x, factor); });
}

template <typename From>
void multiply(const void* values, std::int64_t count, const CodeRule& rule, std::int8_t* codes) noexcept {
  const __m256 factor = _mm256_set1_ps(rule.factor);
  encode<From>(elements_of<From>(values), count, rule, codes,
               [&](__m256 x) noexcept { return _mm256_mul_ps(x, factor); });
}

template <typename From>
void widen(const void* from, std::int64_t count, float* out) noexcept {
  const auto* const values = elements_of<From>(from);
  std::int64_t i = 0;
  for (; i + width <= count; i += width) _mm256_storeu_ps(out + i, From::load(values + i));
  if (i == count) return;
  float tail[width];
  const Padded<8, typename From::Element> padded(values + i, count - i);
  _mm256_storeu_ps(tail, From::load(padded.elements));
  __builtin_memcpy(out + i, tail, static_cast<std::size_t>(count - i) * sizeof(float));
}

inline __m256i* bytes(std::int8_t* at) noexcept { return reinterpret_cast<__m256i*>(at); }

/// Lanes of sums of four codes each.
inline __m256i sums_of_four(__m256i codes) noexcept {
  return _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), codes), _mm256_set1_epi16(1));
}

std::int32_t sum_and_flip(std::int8_t* codes, std::int64_t count, std::uint8_t bits) noexcept {
  constexpr std::int64_t step = 32;
  const __m256i flip = _mm256_set1_epi8(static_cast<char>(bits));
  __m256i sum = _mm256_setzero_si256();
  std::int64_t i = 0;
  for (; i + step <= count; i += step) {
    const __m256i here = _mm256_loadu_si256(bytes(codes + i));
    sum = _mm256_add_epi32(sum, sums_of_four(here));
    _mm256_storeu_si256(bytes(codes + i), _mm256_xor_si256(here, flip));
  }
  if (i < count) {
    Padded<step, std::int8_t> rest(codes + i, count - i);
    const __m256i here = _mm256_loadu_si256(bytes(rest.elements));
    sum = _mm256_add_epi32(sum, sums_of_four(here));
    _mm256_storeu_si256(bytes(rest.elements), _mm256_xor_si256(here, flip));
    __builtin_memcpy(codes + i, rest.elements, static_cast<std::size_t>(count - i));
  }
  __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
  half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4E));
  half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xB1));
  return _mm_cvtsi128_si32(half);
}

template <typename From>
constexpr RowOperations operations{absmax<From>, magnitudes<From>, sum<From>,
                                   divide<From>, multiply<From>,   widen<From>};

}  // namespace

constinit const RowKernels rows_avx2{.isa = Isa::avx2,
                                     .f32 = operations<F32>,
                                     .f16 = operations<F16>,
                                     .bf16 = operations<Bf16>,
                                     .sum_and_flip = sum_and_flip};

}  // namespace bnq::detail
