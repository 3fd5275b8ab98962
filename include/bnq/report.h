#pragma once

#include <bnq/export.h>
#include <bnq/quantized_tensor.h>
#include <bnq/tensor.h>

#include <cstdint>

namespace bnq {

/// How good is it? w is the original, v = code * scale its quantized twin; sums in float64.
struct Report {
  std::int64_t elements = 0;
  double signal = 0;           ///< sum of w²
  double noise = 0;            ///< sum of (w - v)²
  double sqnr_db = 0;          ///< 10 log10(signal / noise); +infinity when noise is 0
  double cosine = 0;           ///< <w, v> / (|w| |v|); 1 when lossless, 0 when only one of them is all zero
  double max_abs_error = 0;    ///< max |w - v|
  double zero_share = 0;       ///< share of codes that are 0, in [0, 1]
  double saturated_share = 0;  ///< share with |w| more than half a scale past the outermost level of its granule
  double bits_per_weight = 0;  ///< QuantizedTensor::bits_per_weight
  std::int64_t floored_granules = 0;
  std::int64_t prequantized_granules = 0;
  std::int64_t granules = 0;
  bool lossless = false;  ///< every v equals its w
};

/// Compares `q` with the tensor it came from.
/// Throws `invalid_argument` when shapes differ, `unsupported` unless `original` is f32, f16 or bf16, `bad_content`
/// naming the first NaN or infinity.
[[nodiscard]] BNQ_EXPORT Report report(const TensorView& original, const QuantizedTensor& q);

}  // namespace bnq
