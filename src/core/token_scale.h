#pragma once

#include <algorithm>

namespace bnq::detail {

/// Scale of an int8 token (BitNet b1.58, arXiv 2402.17764): m = max(absmax, 1e-5), code = clamp(rint(x * (127 / m)),
/// -128, 127), scale = m / 127. Both divisions are true ones.
struct TokenScale {
  static constexpr float floor = 1e-5F;
  static constexpr int min_code = -128;
  static constexpr int max_code = 127;

  float scale;
  float multiplier;

  explicit TokenScale(float absmax) {
    const float m = std::max(absmax, floor);
    scale = m / 127.0F;
    multiplier = 127.0F / m;
  }
};

}  // namespace bnq::detail
