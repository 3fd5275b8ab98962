#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>

// Small binary floats by their definition in IEEE 754: a number is (-1)^s * 2^(e - bias) * 1.f, or, with e = 0,
// (-1)^s * 2^(1 - bias) * 0.f. Computed with doubles, in which every step below is exact.

namespace oracle {

struct FloatFormat {
  int exponent_bits;
  int fraction_bits;

  [[nodiscard]] int bias() const { return (1 << (exponent_bits - 1)) - 1; }
  [[nodiscard]] int special_exponent() const { return (1 << exponent_bits) - 1; }  ///< of infinity and NaN
};

inline constexpr FloatFormat format_f32{8, 23};
inline constexpr FloatFormat format_f16{5, 10};
inline constexpr FloatFormat format_bf16{8, 7};

/// "f32", "f16" or "bf16".
inline FloatFormat format_called(const std::string& dtype) {
  if (dtype == "f32") return format_f32;
  return dtype == "f16" ? format_f16 : format_bf16;
}

/// The nearest integer; of two equally near the even one. Whatever the rounding mode.
inline double round_half_even(double value) {
  const double below = std::floor(value);
  const double rest = value - below;
  if (rest < 0.5) return below;
  if (rest > 0.5) return below + 1;
  return std::fmod(below, 2) == 0 ? below : below + 1;
}

inline double value_of(FloatFormat format, std::uint32_t bits) {
  const auto fraction = static_cast<double>(bits % (1U << format.fraction_bits));
  const auto exponent =
      static_cast<int>((bits >> format.fraction_bits) % (1U << static_cast<unsigned>(format.exponent_bits)));
  const double sign = (bits >> (format.fraction_bits + format.exponent_bits)) % 2 == 0 ? 1 : -1;
  if (exponent == format.special_exponent()) {
    return fraction == 0 ? sign * std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  }
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - format.bias() - format.fraction_bits);
  const double one = std::ldexp(1, format.fraction_bits);
  return sign * std::ldexp(one + fraction, exponent - format.bias() - format.fraction_bits);
}

/// Rounded half to even. Overflow gives infinity; every NaN is positive and quiet with an otherwise empty payload.
inline std::uint32_t bits_of(FloatFormat format, double value) {
  const auto special = static_cast<std::uint32_t>(format.special_exponent()) << format.fraction_bits;
  if (std::isnan(value)) return special | (1U << (format.fraction_bits - 1));
  const std::uint32_t sign = std::signbit(value) ? 1U << (format.exponent_bits + format.fraction_bits) : 0U;
  const double magnitude = std::fabs(value);
  if (std::isinf(magnitude)) return sign | special;
  const int smallest_exponent = 1 - format.bias();
  int exponent = magnitude == 0 ? smallest_exponent : std::max(std::ilogb(magnitude), smallest_exponent);
  double steps = round_half_even(std::ldexp(magnitude, format.fraction_bits - exponent));
  if (steps == std::ldexp(1, format.fraction_bits + 1)) {  // rounded up to the next power of two
    steps /= 2;
    ++exponent;
  }
  if (exponent > format.bias()) return sign | special;
  const double hidden = std::ldexp(1, format.fraction_bits);
  if (steps < hidden) return sign | static_cast<std::uint32_t>(steps);  // subnormal
  const auto biased = static_cast<std::uint32_t>(exponent + format.bias());
  return sign | (biased << format.fraction_bits) | static_cast<std::uint32_t>(steps - hidden);
}

inline std::uint32_t f32_bits(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float f32_from_bits(std::uint32_t bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// What is left of a float32 when it is stored as `dtype` and read back.
inline float rounded_to(const std::string& dtype, float value) {
  const FloatFormat format = format_called(dtype);
  return static_cast<float>(value_of(format, bits_of(format, static_cast<double>(value))));
}

}  // namespace oracle
