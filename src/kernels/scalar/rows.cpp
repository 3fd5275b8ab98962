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

float absmax(const float* values, std::int64_t count) noexcept {
  std::uint32_t largest = 0;  // magnitudes compare as their bits do, with infinity and NaN above all others
  for (std::int64_t i = 0; i < count; ++i) {
    largest = std::max(largest, std::bit_cast<std::uint32_t>(values[i]) & ~f32_sign);
  }
  return std::bit_cast<float>(largest);
}

Magnitudes magnitudes(const float* values, std::int64_t count) noexcept {
  Lanes sum{};
  float absmin_nonzero = std::numeric_limits<float>::infinity();
  for (std::int64_t i = 0; i < count; ++i) {
    const float magnitude = std::fabs(values[i]);
    sum[static_cast<std::size_t>(i) % lanes] += static_cast<double>(magnitude);
    if (magnitude > 0) absmin_nonzero = std::min(absmin_nonzero, magnitude);
  }
  return {absmax(values, count), absmin_nonzero, fold(sum)};
}

double sum(const float* values, std::int64_t count) noexcept {
  Lanes sum{};
  for (std::int64_t i = 0; i < count; ++i) {
    sum[static_cast<std::size_t>(i) % lanes] += static_cast<double>(values[i]);
  }
  return fold(sum);
}

void divide(const float* values, std::int64_t count, const CodeRule& rule, std::int8_t* codes) noexcept {
  for (std::int64_t i = 0; i < count; ++i) codes[i] = round_to_code(values[i] / rule.factor, rule.low, rule.high);
}

void multiply(const float* values, std::int64_t count, const CodeRule& rule, std::int8_t* codes) noexcept {
  for (std::int64_t i = 0; i < count; ++i) codes[i] = round_to_code(values[i] * rule.factor, rule.low, rule.high);
}

void widen_f16(const std::uint16_t* values, std::int64_t count, float* out) noexcept {
  for (std::int64_t i = 0; i < count; ++i) out[i] = f16_to_f32(values[i]);
}

void widen_bf16(const std::uint16_t* values, std::int64_t count, float* out) noexcept {
  for (std::int64_t i = 0; i < count; ++i) out[i] = bf16_to_f32(values[i]);
}

}  // namespace

constinit const RowKernels rows_scalar{.isa = Isa::scalar,
                                       .absmax = absmax,
                                       .magnitudes = magnitudes,
                                       .sum = sum,
                                       .divide = divide,
                                       .multiply = multiply,
                                       .widen_f16 = widen_f16,
                                       .widen_bf16 = widen_bf16};

}  // namespace bnq::detail
