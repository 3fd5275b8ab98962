#pragma once

#include <bnq/quantized_tensor.h>

#include "core/fail.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace bnq::detail {

/// Throws `invalid_argument` unless `scales` has one finite, non-negative number a granule, in scales_shape.
inline void require_scales(const char* where, const Tensor& scales, const Shape& shape,
                           const Granularity& granularity) {
  if (scales.dtype() != DType::f32) {
    fail(ErrorKind::invalid_argument,
         {.where = where, .what = "scales of another dtype", .got = std::string(name(scales.dtype())), .need = "f32"});
  }
  const Shape need = scales_shape(shape, granularity);
  if (scales.shape() != need) {
    fail(
        ErrorKind::invalid_argument,
        {.where = where, .what = "scales of another shape", .got = to_string(scales.shape()), .need = to_string(need)});
  }
  const auto values = scales.data<float>();
  const auto bad = std::find_if(values.begin(), values.end(), [](float s) { return !(std::isfinite(s) && s >= 0); });
  if (bad == values.end()) return;
  fail(ErrorKind::invalid_argument, {.where = where,
                                     .what = "scale " + std::to_string(bad - values.begin()) + " is no scale",
                                     .got = std::to_string(*bad),
                                     .need = "a finite number, 0 or more"});
}

}  // namespace bnq::detail
