// Quantizing element by element: what every other instruction set has to equal, bit for bit.

#include "core/float16.h"
#include "core/rounding.h"
#include "kernels/kernel.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace bnq::detail {
namespace {

constexpr std::size_t lanes = 16;

using Lanes = std::array<double, lanes>;

/// Lane i adds lane i + 8, then i + 4, i + 2, i + 1.
double fold(Lanes sums) {
  for (std::size_t half = lanes / 2; half > 0; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
  }
  return sums[0];
}

struct F32 {
  using Element = float;
  static float widen(float value) noexcept { return value; }
};

struct F16 {
  using Element = std::uint16_t;
  static float widen(std::uint16_t bits) noexcept { return f16_to_f32(bits); }
};

struct Bf16 {
  using Element = std::uint16_t;
  static float widen(std::uint16_t bits) noexcept { return bf16_to_f32(bits); }
};

template <typename From>
float at(const void* values, std::int64_t i) noexcept {
  return From::widen(static_cast<const typename From::Element*>(values)[i]);
}

template <typename From>
float absmax(const void* values, std::int64_t count) noexcept {
  std::uint32_t largest = 0;  // magnitudes compare as their bits do, with infinity and NaN above all others
  for (std::int64_t i = 0; i < count; ++i) {
    largest = std::max(largest, std::bit_cast<std::uint32_t>(at<From>(values, i)) & ~f32_sign);
  }
  return std::bit_cast<float>(largest);
}

template <typename From>
Magnitudes magnitudes(const void* values, std::int64_t count) noexcept {
  Lanes sum{};
  float absmin_nonzero = std::numeric_limits<float>::infinity();
  for (std::int64_t i = 0; i < count; ++i) {
    const float magnitude = std::fabs(at<From>(values, i));
    sum[static_cast<std::size_t>(i) % lanes] += static_cast<double>(magnitude);
    if (magnitude > 0) absmin_nonzero = std::min(absmin_nonzero, magnitude);
  }
  return {absmax<From>(values, count), absmin_nonzero, fold(sum)};
}

template <typename From>
double sum(const void* values, std::int64_t count) noexcept {
  Lanes sum{};
  for (std::int64_t i = 0; i < count; ++i) {
    sum[static_cast<std::size_t>(i) % lanes] += static_cast<double>(at<From>(values, i));
  }
  return fold(sum);
}

template <typename From>
void divide(const void* values, std::int64_t count, const CodeRule& rule, std::int8_t* codes) noexcept {
  for (std::int64_t i = 0; i < count; ++i) {
    codes[i] = round_to_code(at<From>(values, i) / rule.factor, rule.low, rule.high);
  }
}

template <typename From>
void multiply(const void* values, std::int64_t count, const CodeRule& rule, std::int8_t* codes) noexcept {
  for (std::int64_t i = 0; i < count; ++i) {
    codes[i] = round_to_code(at<From>(values, i) * rule.factor, rule.low, rule.high);
  }
}

template <typename From>
void widen(const void* values, std::int64_t count, float* out) noexcept {
  for (std::int64_t i = 0; i < count; ++i) out[i] = at<From>(values, i);
}

std::int32_t sum_and_flip(std::int8_t* codes, std::int64_t count, std::uint8_t bits) noexcept {
  std::int32_t sum = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    sum += codes[i];
    codes[i] = static_cast<std::int8_t>(codes[i] ^ static_cast<std::int8_t>(bits));
  }
  return sum;
}

template <typename From>
constexpr RowOperations operations{absmax<From>, magnitudes<From>, sum<From>,
                                   divide<From>, multiply<From>,   widen<From>};

}  // namespace

constinit const RowKernels rows_scalar{.isa = Isa::scalar,
                                       .f32 = operations<F32>,
                                       .f16 = operations<F16>,
                                       .bf16 = operations<Bf16>,
                                       .sum_and_flip = sum_and_flip};

}  // namespace bnq::detail
