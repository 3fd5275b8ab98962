#pragma once

#include <algorithm>
#include <cstdint>

namespace bnq::detail {

/// clamp(rint(value), low, high): the one rounding of every scheme, half to even. `value` is not NaN; it may be
/// infinite. -128 <= low <= high <= 127.
[[nodiscard]] inline std::int8_t round_to_code(float value, int low, int high) {
  // The bounds are integers, so clamping first gives the same code and keeps the sum below exact: floats near
  // 1.5 * 2^23 are one apart, so the addition itself rounds to an integer, half to even.
  constexpr float shift = 12582912.0F;
  const float held = std::clamp(value, static_cast<float>(low), static_cast<float>(high));
  const float rounded = (held + shift) - shift;
  return static_cast<std::int8_t>(rounded);
}

}  // namespace bnq::detail
