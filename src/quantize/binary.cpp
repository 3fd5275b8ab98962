// Binary, BitNet v1 (arXiv 2310.11453, equations 1-3): code = +1 if w - mean > 0 else -1, scale = mean |w|.

#include "quantize/scheme_row.h"

namespace bnq::detail {

Fit fit_binary(const SchemeRow& /*row*/, const Statistics& granule) {
  const auto count = static_cast<double>(granule.count);
  Fit fit;
  fit.scale = static_cast<float>(granule.abs_sum / count);
  fit.center = static_cast<float>(granule.sum / count);
  return fit;
}

void encode_binary(const Encoder& encoder, const Block& block, std::int8_t* codes) {
  for (const float value : Floats(block)) *codes++ = value - encoder.fit.center > 0 ? std::int8_t{1} : std::int8_t{-1};
}

}  // namespace bnq::detail
