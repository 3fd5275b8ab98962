#pragma once

#include <bnq/quantized_tensor.h>

namespace bnq::detail {

/// The scheme with the fewest codes and scales that says the same. A layout that holds its scales has one in every
/// block, and room for codes that a ternary tensor does not have: ternary where all codes are -1, 0, +1; one scale for
/// the tensor or a row where all that count are equal. Scales of granules whose codes are all 0 do not count.
[[nodiscard]] Scheme narrow_scheme(const QuantizedTensor& q);

/// The tensor under that scheme.
[[nodiscard]] QuantizedTensor narrowed(const QuantizedTensor& q, const Scheme& scheme);

}  // namespace bnq::detail
