#pragma once

#include <bnq/quantized_tensor.h>
#include <bnq/tensor.h>

#include <array>
#include <cstdint>

namespace bnq::detail {

/// How often values fall into equal parts of [-limit, limit], before and after quantizing.
struct Histogram {
  static constexpr std::size_t bins = 81;  ///< odd: zero stands in the middle of one

  double limit = 0;  ///< largest magnitude of either; 0 when all are zero
  std::array<std::int64_t, bins> before{};
  std::array<std::int64_t, bins> after{};
};

/// `original` and `q` have one shape, and no NaN or infinity.
[[nodiscard]] Histogram histogram_of(const TensorView& original, const QuantizedTensor& q);

}  // namespace bnq::detail
