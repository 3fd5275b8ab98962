// Activations, BitNet b1.58: the formula stands in core/token_scale.h, since Linear quantizes tokens too.

#include "core/rounding.h"
#include "core/token_scale.h"
#include "quantize/scheme_row.h"

namespace bnq::detail {

Fit fit_token(const SchemeRow& /*row*/, const Statistics& granule) {
  const TokenScale token(granule.absmax);
  Fit fit;
  fit.scale = token.scale;
  fit.multiplier = token.multiplier;
  fit.floored = granule.absmax < TokenScale::floor;
  return fit;
}

void encode_token(const SchemeRow& row, const Fit& fit, std::span<const float> values, std::int8_t* codes) {
  for (const float value : values) *codes++ = round_to_code(value * fit.multiplier, row.min_code, row.max_code);
}

}  // namespace bnq::detail
