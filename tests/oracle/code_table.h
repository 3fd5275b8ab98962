#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace oracle {

using Bytes = std::vector<std::uint8_t>;

/// A [rows, depth] matrix of codes of `bits` bits.
struct CodeTable {
  std::vector<int> codes;
  std::size_t rows = 0;
  std::size_t depth = 0;
  int bits = 0;

  std::size_t group = 0;           ///< codes of a group, where scales are by group
  std::vector<float> scales = {};  ///< one an element, for layouts that hold scales

  [[nodiscard]] int at(std::size_t row, std::size_t column) const { return codes.at(row * depth + column); }
};

}  // namespace oracle
