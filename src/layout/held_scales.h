#pragma once

#include "layout/layout_row.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace bnq::detail {

/// Empty, or why scales of this granularity have no place in the cells of a layout: a cell has one scale, so it may not
/// reach over the end of a granule.
[[nodiscard]] std::string held_scales_refusal(const Granularity& cell, const Granularity& granularity,
                                              const Shape& shape);

/// Scales as a layout stores them, one a cell.
struct StoredScales {
  std::vector<float> values;
  double worst_error = 0;  ///< largest |stored - scale| / scale of a cell that has a code other than 0
};

/// The scale of each cell, rounded to what the layout stores. Cells whose codes are all 0 are 0 whatever the scale:
/// they count in no error, and get the scale 0 where theirs has no place in the stored dtype. Throws `unsupported`
/// naming the first scale that is too large or too small for it.
[[nodiscard]] StoredScales scales_to_store(const QuantizedTensor& q, const Layout& layout);

/// Of a tensor whose codes and stored scales were read.
struct ReadCells {
  const Layout& layout;
  const Scheme& scheme;
  const Shape& shape;
  std::span<const std::int8_t> codes;
  std::span<const float> scales;  ///< one a cell
};

/// One scale a granule. Cells whose codes are all 0 say nothing about the scale, unless there are no others.
/// Throws `bad_content` when a scale is negative, NaN or infinite, or when cells of one granule disagree.
[[nodiscard]] Tensor granule_scales(const ReadCells& cells);

}  // namespace bnq::detail
