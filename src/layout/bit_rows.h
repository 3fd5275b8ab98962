#pragma once

#include "layout/layout_row.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace bnq::detail {

/// Rows of `bits`-wide unsigned fields, first field in the lowest bits, without gaps; each row ends on a multiple of
/// `row_bytes_multiple` bytes, padded with zero bits. A field is (code + offset) / step.
struct BitRows {
  unsigned bits;
  int offset;
  int step;
  std::int64_t row_bytes_multiple;

  [[nodiscard]] std::int64_t row_bytes(std::int64_t depth) const;
  void pack(const CodeMatrix<const std::int8_t>& codes, std::span<std::byte> data) const;

  /// Throws `bad_content` for padding that is not zero.
  void unpack(std::span<const std::byte> data, const CodeMatrix<std::int8_t>& codes) const;
};

}  // namespace bnq::detail
