// tq1_0: ggml's type 34. Blocks of 256 codes along the depth: five ternary digits, code + 1, in a byte, the first the
// most significant, as a fraction of 256: ceil(q * 256 / 243). docs/formats/blocks/tq1_0.rst

#include "layout/blocks/block_rows.h"

#include <array>

namespace bnq::detail {
namespace {

constexpr std::int8_t no_code = 2;
constexpr std::array<unsigned, 5> powers{1, 3, 9, 27, 81};

constexpr unsigned byte_of(unsigned q) { return (q * 256 + 242) / 243; }

/// Which bytes are five digits; 13 of 256 are not.
constexpr std::array<bool, 256> are_digits = [] {
  std::array<bool, 256> made{};
  for (unsigned q = 0; q < 243; ++q) made[byte_of(q)] = true;
  return made;
}();

/// Bytes that hold neighbours: byte m has the codes m, m + bytes, m + 2 bytes, …; digits that are left over are zeros.
struct Part {
  std::int64_t bytes;
  int digits;

  [[nodiscard]] constexpr std::int64_t elems() const { return bytes * digits; }

  void pack(const std::int8_t* codes, std::byte* out) const {
    for (std::int64_t m = 0; m < bytes; ++m) {
      unsigned q = 0;
      for (int n = 0; n < digits; ++n) q = 3 * q + static_cast<unsigned>(codes[m + n * bytes] + 1);
      out[m] = static_cast<std::byte>(byte_of(q * powers[static_cast<std::size_t>(5 - digits)]));
    }
  }

  /// The fraction times 3^n has digit n before its point.
  void unpack(const std::byte* in, std::int8_t* codes) const {
    for (int n = 0; n < digits; ++n) {
      for (std::int64_t m = 0; m < bytes; ++m) {
        const unsigned rest = std::to_integer<unsigned>(in[m]) * powers[static_cast<std::size_t>(n)] & 0xFFU;
        codes[m + n * bytes] = static_cast<std::int8_t>(static_cast<int>(rest * 3 >> 8U) - 1);
      }
    }
    for (std::int64_t m = 0; m < bytes; ++m) {
      if (!are_digits[std::to_integer<std::size_t>(in[m])]) codes[m] = no_code;
    }
  }
};

struct Block {
  static constexpr std::int64_t elems = 256;
  static constexpr std::int64_t bytes = 54;
  static constexpr BlockCodes range{.low = -1, .high = 1, .text = "-1, 0, +1"};
  static constexpr std::array<Part, 3> parts{{{32, 5}, {16, 5}, {4, 4}}};
  static constexpr std::int64_t scale_at = 52;

  static void pack(const std::int8_t* codes, float scale, std::byte* block) {
    put_f16(scale, block + scale_at);
    for (const Part& part : parts) {
      part.pack(codes, block);
      codes += part.elems();
      block += part.bytes;
    }
  }

  static float unpack(const std::byte* block, std::int8_t* codes) {
    const float scale = get_f16(block + scale_at);
    for (const Part& part : parts) {
      part.unpack(block, codes);
      codes += part.elems();
      block += part.bytes;
    }
    return scale;
  }
};

}  // namespace

constinit const LayoutRow layout_tq1_0 =
    ggml_row<Block>({.name = "tq1_0",
                     .about = "ggml TQ1_0: five ternary codes a byte, an f16 scale every 256",
                     .id = 34,
                     .scheme = "ternary-absmean:group(256)"});

}  // namespace bnq::detail
