#pragma once

#include <bnq/tensor.h>

#include "kernels/kernel.h"

#include <cstdint>
#include <limits>

namespace bnq::detail {

/// How much of a granule a scale rule has to know.
enum class Needs : std::uint8_t { absmax, magnitudes, magnitudes_and_sum };

/// What the scale rules need to know of a granule, gathered in one pass.
struct Statistics {
  std::int64_t count = 0;                                         ///< elements
  float absmax = 0;                                               ///< max |w|
  float absmin_nonzero = std::numeric_limits<float>::infinity();  ///< min |w| over w != 0; infinity when all are zero
  double sum = 0;                                                 ///< of w
  double abs_sum = 0;                                             ///< of |w|
  std::int64_t first_nonfinite = -1;  ///< flat index in the tensor of the first NaN or infinity; -1: none

  /// Only {-a, 0, +a} with one a > 0.
  [[nodiscard]] bool already_ternary() const { return absmax > 0 && absmin_nonzero == absmax; }
};

/// Which elements, and how they are read.
struct GranuleSource {
  const RowKernels& kernels;
  const TensorView& view;
  Needs needs;
};

/// Statistics of elements [begin, begin + count) in row-major order, as far as they are needed. Float64 sums have one
/// written order (docs/schemes.rst, "Means"), so they do not depend on threads or instruction sets. Large ranges use
/// several threads.
[[nodiscard]] Statistics gather_statistics(const GranuleSource& source, std::int64_t begin, std::int64_t count);

}  // namespace bnq::detail
