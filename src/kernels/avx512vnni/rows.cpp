// Quantizing, 16 elements at a time. The order of float64 sums is that of docs/schemes.rst, "Means".

#include "kernels/avx512vnni/lanes.h"

namespace bnq::detail {
namespace {

constexpr std::int64_t width = 16;  // elements

inline __mmask16 first(std::int64_t count) noexcept {
  return static_cast<__mmask16>(count >= width ? 0xFFFF : (1 << count) - 1);
}

// Sixteen elements of each dtype as float32.

struct F32 {
  using Element = float;
  static __m512 load(const float* from) noexcept { return _mm512_loadu_ps(from); }
  static __m512 load(__mmask16 mask, const float* from) noexcept { return _mm512_maskz_loadu_ps(mask, from); }
};

inline __m256i halves(const std::uint16_t* from) noexcept {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

struct F16 {
  using Element = std::uint16_t;
  static __m512 load(const Element* from) noexcept { return _mm512_cvtph_ps(halves(from)); }
  static __m512 load(__mmask16 mask, const Element* from) noexcept {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, from));
  }
};

struct Bf16 {
  using Element = std::uint16_t;
  static __m512 load(const Element* from) noexcept { return widened(halves(from)); }
  static __m512 load(__mmask16 mask, const Element* from) noexcept {
    return widened(_mm256_maskz_loadu_epi16(mask, from));
  }

 private:
  static __m512 widened(__m256i bits) noexcept {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
  }
};

/// Bits of the largest magnitude of 16-bit floats, whose bits compare as they do.
inline std::uint16_t largest_half(const std::uint16_t* values, std::int64_t count) noexcept {
  constexpr std::int64_t step = 32;
  const __m512i magnitude = _mm512_set1_epi16(0x7FFF);
  __m512i largest[2] = {};
  std::int64_t i = 0;
  for (; i + 2 * step <= count; i += 2 * step) {
    for (unsigned j = 0; j < 2; ++j) {
      const __m512i bits = _mm512_loadu_si512(values + i + j * step);
      largest[j] = _mm512_max_epu16(largest[j], _mm512_and_si512(bits, magnitude));
    }
  }
  for (; i < count; i += step) {
    const std::int64_t left = count - i;
    const auto mask = static_cast<__mmask32>(left >= step ? -1 : (std::int64_t{1} << left) - 1);
    largest[0] = _mm512_max_epu16(largest[0], _mm512_and_si512(_mm512_maskz_loadu_epi16(mask, values + i), magnitude));
  }
  const __m512i all = _mm512_max_epu16(largest[0], largest[1]);
  const __m512i low = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(all));
  const __m512i high = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(all, 1));
  return static_cast<std::uint16_t>(_mm512_reduce_max_epu32(_mm512_max_epu32(low, high)));
}

template <typename From>
inline const typename From::Element* elements(const void* values) noexcept {
  return static_cast<const typename From::Element*>(values);
}

inline __m512i magnitude_bits(__m512 values) noexcept {
  return _mm512_and_si512(_mm512_castps_si512(values), _mm512_set1_epi32(0x7FFFFFFF));
}

inline float float_of(std::uint32_t bits) noexcept {
  float result;
  __builtin_memcpy(&result, &bits, sizeof result);
  return result;
}

inline float absmax_f32(const float* values, std::int64_t count) noexcept {
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

template <typename From>
float absmax(const void* values, std::int64_t count) noexcept {
  if constexpr (sizeof(typename From::Element) == sizeof(float)) {
    return absmax_f32(elements<From>(values), count);
  } else {
    const std::uint16_t bits = largest_half(elements<From>(values), count);
    return _mm512_cvtss_f32(From::load(1, &bits));
  }
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

template <typename From>
Magnitudes magnitudes(const void* from, std::int64_t count) noexcept {
  const auto* const values = elements<From>(from);
  Seen all;
  std::int64_t i = 0;
  for (; i + width <= count; i += width) all.see(From::load(values + i));
  if (i < count) all.see(From::load(first(count - i), values + i));
  return {float_of(_mm512_reduce_max_epu32(all.largest)), float_of(_mm512_reduce_min_epu32(all.smallest) + 1),
          all.scaled.fold() * unscaled};
}

template <typename From>
double sum(const void* from, std::int64_t count) noexcept {
  const auto* const values = elements<From>(from);
  Lanes lanes;
  for (std::int64_t i = 0; i < count; i += width) {
    const __m512i bits = _mm512_castps_si512(From::load(first(count - i), values + i));
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
inline __m512i narrowed(const __m512i (&codes)[4]) noexcept {
  const __m512i words[2] = {_mm512_packs_epi32(codes[0], codes[1]), _mm512_packs_epi32(codes[2], codes[3])};
  const __m512i bytes = _mm512_packs_epi16(words[0], words[1]);
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_permutexvar_epi32(order, bytes);
}

template <typename From, typename Scale>
inline void encode(const typename From::Element* values, std::int64_t count, const CodeRule& rule, std::int8_t* codes,
                   const Scale& scale) noexcept {
  const __m512i low = _mm512_set1_epi8(static_cast<char>(rule.low));
  std::int64_t i = 0;
  for (; i + 4 * width <= count; i += 4 * width) {
    __m512i four[4];
    for (unsigned j = 0; j < 4; ++j) four[j] = rounded(scale(From::load(values + i + j * width)), rule);
    _mm512_storeu_si512(codes + i, _mm512_max_epi8(narrowed(four), low));
  }
  for (; i < count; i += width) {
    const __mmask16 mask = first(count - i);
    const __m512i sixteen = rounded(scale(From::load(mask, values + i)), rule);
    _mm512_mask_cvtepi32_storeu_epi8(codes + i, mask, _mm512_max_epi32(sixteen, _mm512_set1_epi32(rule.low)));
  }
}

// A division takes as long as ten products, so quotients are computed as products by the reciprocal, in units of 2^-16,
// and again by true divisions where that may give another code. Reciprocal and product are rounded once each, the
// quotient once as well: they differ by less than 3 * 2^-24 relatively, which is less than 1.53 units up to 128, and
// 0.5 is added by rounding to units. So the codes are equal unless the product is within 2 units of halfway between
// two.
constexpr std::int32_t half = 1 << 15;
constexpr std::int32_t margin = 2;
constexpr float smallest_reciprocal_factor = 0x1p-100F;  // so that 2^16 / factor is finite
constexpr float largest_reciprocal_factor = 0x1p126F;    // so that 1 / factor is normal

inline bool has_reciprocal(float factor) noexcept {
  return smallest_reciprocal_factor <= factor && factor <= largest_reciprocal_factor;
}

template <typename From>
void divide(const void* from, std::int64_t count, const CodeRule& rule, std::int8_t* codes) noexcept {
  const auto* const values = elements<From>(from);
  const __m512 factor = _mm512_set1_ps(rule.factor);
  const auto divided = [&](__m512 x) noexcept { return _mm512_div_ps(x, factor); };
  const __m512 units = _mm512_set1_ps(0x1p16F / rule.factor);
  const std::int64_t whole = has_reciprocal(rule.factor) ? count / (4 * width) * (4 * width) : 0;
  for (std::int64_t i = 0; i < whole; i += 4 * width) {
    __m512i four[4];
    __m512i nearest = _mm512_set1_epi32(-1);  // in its lower halves: the least distance above a halfway, plus margin
    for (unsigned j = 0; j < 4; ++j) {
      const __m512i product = _mm512_cvtps_epi32(_mm512_mul_ps(From::load(values + i + j * width), units));
      const __m512i shifted = _mm512_add_epi32(product, _mm512_set1_epi32(half + margin));
      nearest = _mm512_min_epu16(nearest, shifted);
      four[j] = _mm512_srai_epi32(shifted, 16);
    }
    if (_mm512_mask_cmple_epu16_mask(0x5555'5555, nearest, _mm512_set1_epi16(2 * margin)) != 0) [[unlikely]] {
      encode<From>(values + i, 4 * width, rule, codes + i, divided);
    } else {
      _mm512_storeu_si512(codes + i, narrowed(four));
    }
  }
  encode<From>(values + whole, count - whole, rule, codes + whole, divided);
}

template <typename From>
void multiply(const void* values, std::int64_t count, const CodeRule& rule, std::int8_t* codes) noexcept {
  const __m512 factor = _mm512_set1_ps(rule.factor);
  encode<From>(elements<From>(values), count, rule, codes, [&](__m512 x) noexcept { return _mm512_mul_ps(x, factor); });
}

template <typename From>
void widen(const void* from, std::int64_t count, float* out) noexcept {
  const auto* const values = elements<From>(from);
  std::int64_t i = 0;
  for (; i + width <= count; i += width) _mm512_storeu_ps(out + i, From::load(values + i));
  if (i == count) return;
  const __mmask16 mask = first(count - i);
  _mm512_mask_storeu_ps(out + i, mask, From::load(mask, values + i));
}

std::int32_t sum_and_flip(std::int8_t* codes, std::int64_t count, std::uint8_t bits) noexcept {
  constexpr std::int64_t step = 64;
  const __m512i flip = _mm512_set1_epi8(static_cast<char>(bits));
  const __m512i one = _mm512_set1_epi8(1);
  __m512i sum = _mm512_setzero_si512();
  for (std::int64_t i = 0; i < count; i += step) {
    const __mmask64 mask = first_bytes(count - i);
    const __m512i here = _mm512_maskz_loadu_epi8(mask, codes + i);
    dot(sum, one, here);
    _mm512_mask_storeu_epi8(codes + i, mask, _mm512_xor_si512(here, flip));
  }
  return _mm512_reduce_add_epi32(sum);
}

template <typename From>
constexpr RowOperations operations{absmax<From>, magnitudes<From>, sum<From>,
                                   divide<From>, multiply<From>,   widen<From>};

}  // namespace

constinit const RowKernels rows_avx512vnni{.isa = Isa::avx512vnni,
                                           .f32 = operations<F32>,
                                           .f16 = operations<F16>,
                                           .bf16 = operations<Bf16>,
                                           .sum_and_flip = sum_and_flip};

}  // namespace bnq::detail
