// Ternary, BitNet b1.58 (arXiv 2402.17764, with the reference code's floor and reciprocal):
// g = max(mean |w|, 1e-5), code = clamp(rint(w * (1 / g)), -1, 1), scale = g.
// A granule that is {-a, 0, +a} already keeps a, so that quantizing what was dequantized changes nothing.

#include "quantize/scheme_row.h"

#include <algorithm>

namespace bnq::detail {
namespace {

constexpr float smallest_mean = 1e-5F;

std::int8_t sign(float value) { return static_cast<std::int8_t>((value > 0 ? 1 : 0) - (value < 0 ? 1 : 0)); }

}  // namespace

Fit fit_absmean(const SchemeRow& /*row*/, const Statistics& granule) {
  Fit fit;
  if (granule.already_ternary()) {  // before the floor: a tiny a is kept, too
    fit.scale = granule.absmax;
    fit.prequantized = true;
    return fit;
  }
  const auto mean = static_cast<float>(granule.abs_sum / static_cast<double>(granule.count));
  fit.scale = std::max(mean, smallest_mean);
  fit.multiplier = 1.0F / fit.scale;
  fit.floored = mean < smallest_mean;
  return fit;
}

void encode_absmean(const Encoder& encoder, const Block& block, std::int8_t* codes) {
  if (!encoder.fit.prequantized) return encode_multiplied(encoder, encoder.fit.multiplier, block, codes);
  for (const float value : Floats(block)) *codes++ = sign(value);  // by sign: 1 / a is infinite for the smallest a
}

}  // namespace bnq::detail
