// Activations, BitNet b1.58: the formula stands in core/token_scale.h, since Linear quantizes tokens too.

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

void encode_token(const Encoder& encoder, const Block& block, std::int8_t* codes) {
  encode_multiplied(encoder, encoder.fit.multiplier, block, codes);
}

}  // namespace bnq::detail
