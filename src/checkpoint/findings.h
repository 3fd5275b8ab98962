#pragma once

#include <bnq/tensor.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace bnq::detail {

/// What one pass over numbers finds; the order of the parts does not matter.
struct Findings {
  float minimum = std::numeric_limits<float>::infinity();
  float maximum = -std::numeric_limits<float>::infinity();
  float smallest_nonzero = std::numeric_limits<float>::infinity();  ///< by magnitude
  std::int64_t zeros = 0;
  std::int64_t nans = 0;
  std::int64_t infs = 0;

  void see(float value) {
    if (std::isnan(value)) {
      ++nans;
    } else if (std::isinf(value)) {
      ++infs;
    } else {
      minimum = std::min(minimum, value);
      maximum = std::max(maximum, value);
      if (value == 0) ++zeros;
      if (value != 0) smallest_nonzero = std::min(smallest_nonzero, std::fabs(value));
    }
  }

  void add(const Findings& other) {
    minimum = std::min(minimum, other.minimum);
    maximum = std::max(maximum, other.maximum);
    smallest_nonzero = std::min(smallest_nonzero, other.smallest_nonzero);
    zeros += other.zeros;
    nans += other.nans;
    infs += other.infs;
  }

  /// Only -a, 0, +a with one a > 0.
  [[nodiscard]] bool is_ternary() const {
    return nans + infs == 0 && std::isfinite(smallest_nonzero) &&
           smallest_nonzero == std::max(std::fabs(minimum), std::fabs(maximum));
  }
};

/// Of a tensor of f32, f16 or bf16.
[[nodiscard]] Findings look_at(const TensorView& view);

}  // namespace bnq::detail
