// int8 … int2, symmetric: Q = 2^(b-1) - 1, scale = max(absmax / Q, 2^-126), code = clamp(rint(w / scale), -Q, Q).
// The division is a true one: multiplying by 1 / scale would change codes (docs/schemes.rst).

#include "quantize/scheme_row.h"

#include <algorithm>

namespace bnq::detail {
namespace {

constexpr float smallest_scale = 0x1p-126F;  // the smallest normal float: below it w / scale could be infinite

}  // namespace

Fit fit_absmax(const SchemeRow& row, const Statistics& granule) {
  const float scale = granule.absmax / static_cast<float>(row.max_code);
  Fit fit;
  fit.scale = std::max(scale, smallest_scale);
  fit.floored = scale < smallest_scale;
  return fit;
}

void encode_absmax(const Encoder& encoder, const Block& block, std::int8_t* codes) {
  encode_divided(encoder, encoder.fit.scale, block, codes);
}

}  // namespace bnq::detail
