#pragma once

#include <bit>
#include <cstdint>

// The two 16-bit floats, by their bits: no compiler or CPU support needed, so the same everywhere.
// f16 is IEEE 754 binary16 (1 sign, 5 exponent, 10 fraction bits); bf16 is the upper half of binary32 (1, 8, 7).

namespace bnq::detail {

inline constexpr std::uint32_t f32_sign = 0x8000'0000U;
inline constexpr std::uint32_t f32_infinity = 0x7F80'0000U;
inline constexpr std::uint32_t f32_quiet_nan = 0x7FC0'0000U;
inline constexpr std::uint16_t f16_quiet_nan = 0x7E00U;
inline constexpr std::uint16_t bf16_quiet_nan = 0x7FC0U;

/// Exact.
[[nodiscard]] constexpr float bf16_to_f32(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
}

/// Exact: every f16, subnormals too, is a normal f32.
[[nodiscard]] constexpr float f16_to_f32(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000U) << 16U;
  const std::uint32_t exponent = (bits >> 10U) & 0x1FU;
  const std::uint32_t fraction = bits & 0x3FFU;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | f32_infinity | (fraction << 13U));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23U) | (fraction << 13U));
  if (fraction == 0) return std::bit_cast<float>(sign);
  // Subnormal: fraction * 2^-24. Shift its leading one up to the hidden bit.
  const auto shift = static_cast<std::uint32_t>(std::countl_zero(fraction)) - 21U;
  return std::bit_cast<float>(sign | ((113 - shift) << 23U) | (((fraction << shift) & 0x3FFU) << 13U));
}

/// value >> shift, rounded half to even. shift is in [1, 31].
[[nodiscard]] constexpr std::uint32_t shift_right_half_even(std::uint32_t value, std::uint32_t shift) {
  const std::uint32_t kept = value >> shift;
  const std::uint32_t rest = value & ((1U << shift) - 1U);
  const std::uint32_t half = 1U << (shift - 1U);
  return kept + (rest > half || (rest == half && (kept & 1U) != 0) ? 1U : 0U);
}

/// Rounded half to even; overflow gives infinity, any NaN the quiet one.
[[nodiscard]] constexpr std::uint16_t f32_to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & ~f32_sign) > f32_infinity) return bf16_quiet_nan;
  return static_cast<std::uint16_t>(shift_right_half_even(bits, 16));
}

/// Rounded half to even; overflow gives infinity, any NaN the quiet one.
[[nodiscard]] constexpr std::uint16_t f32_to_f16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits & f32_sign) >> 16U;
  const std::uint32_t magnitude = bits & ~f32_sign;
  if (magnitude > f32_infinity) return f16_quiet_nan;
  if (magnitude >= 0x4780'0000U) return static_cast<std::uint16_t>(sign | 0x7C00U);  // 2^16 and more
  const std::uint32_t exponent = magnitude >> 23U;
  if (exponent >= 113) {  // 2^-14 and more: normal in f16; a carry out of the fraction moves the exponent up, rightly
    return static_cast<std::uint16_t>(sign | shift_right_half_even(magnitude - (112U << 23U), 13));
  }
  if (exponent < 102) return static_cast<std::uint16_t>(sign);  // below 2^-25: rounds to zero
  const std::uint32_t fraction = (magnitude & 0x7F'FFFFU) | 0x80'0000U;
  return static_cast<std::uint16_t>(sign | shift_right_half_even(fraction, 126 - exponent));
}

}  // namespace bnq::detail
