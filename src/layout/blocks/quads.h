#pragma once

#include <cstddef>
#include <cstdint>

namespace bnq::detail {

/// Four ternary codes a byte: byte m of `stride` holds the codes m, m + stride, m + 2 stride and m + 3 stride, as
/// code + 1 in two bits, the first at bit `first` and each next `step` bits on.
struct Quads {
  std::int64_t stride;
  int first;
  int step;

  void pack(const std::int8_t* codes, std::byte* bytes) const {
    for (std::int64_t m = 0; m < stride; ++m) {
      unsigned byte = 0;
      for (int n = 0; n < 4; ++n) {
        byte |= static_cast<unsigned>(codes[m + n * stride] + 1) << static_cast<unsigned>(first + n * step);
      }
      bytes[m] = static_cast<std::byte>(byte);
    }
  }

  /// The field 3 becomes 2, which is no ternary code.
  void unpack(const std::byte* bytes, std::int8_t* codes) const {
    for (int n = 0; n < 4; ++n) {
      for (std::int64_t m = 0; m < stride; ++m) {
        const unsigned field = std::to_integer<unsigned>(bytes[m]) >> static_cast<unsigned>(first + n * step) & 3U;
        codes[m + n * stride] = static_cast<std::int8_t>(static_cast<int>(field) - 1);
      }
    }
  }
};

}  // namespace bnq::detail
