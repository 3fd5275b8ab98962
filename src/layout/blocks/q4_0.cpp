// q4_0: ggml's type 2. Blocks of 32 codes along the depth: the scale, then byte j with the fields of the codes j (low
// half) and j + 16 (high half). A field is code + 8 under a scale d; d may be negative, which turns all codes of the
// block around: scale -d, field 8 - code. docs/formats/blocks/q4_0.rst

#include "layout/blocks/block_rows.h"

#include <cmath>

namespace bnq::detail {
namespace {

constexpr int zero_field = 8;

struct Block {
  static constexpr std::int64_t elems = 32;
  static constexpr std::int64_t bytes = 18;
  static constexpr BlockCodes range{.low = -8, .high = 7, .text = "-8 to 7, or -7 to 8 in a block", .given_bits = 5};
  static constexpr std::int64_t codes_at = 2;
  static constexpr std::int64_t half = elems / 2;

  /// +8 has a field in a turned block only.
  static void pack(const std::int8_t* codes, float scale, std::byte* block) {
    const int sign = std::find(codes, codes + elems, zero_field) == codes + elems ? 1 : -1;
    put_f16(static_cast<float>(sign) * scale, block);
    for (std::int64_t j = 0; j < half; ++j) {
      const auto low = static_cast<unsigned>(zero_field + sign * codes[j]);
      const auto high = static_cast<unsigned>(zero_field + sign * codes[j + half]);
      block[codes_at + j] = static_cast<std::byte>(low | high << 4U);
    }
  }

  static float unpack(const std::byte* block, std::int8_t* codes) {
    const float scale = get_f16(block);
    const int sign = std::signbit(scale) ? -1 : 1;
    for (std::int64_t j = 0; j < half; ++j) {
      const auto byte = std::to_integer<int>(block[codes_at + j]);
      codes[j] = static_cast<std::int8_t>(sign * (byte % 16 - zero_field));
      codes[j + half] = static_cast<std::int8_t>(sign * (byte / 16 - zero_field));
    }
    return std::fabs(scale);
  }
};

/// A block holds -8 or +8, not both.
std::int64_t first_misfit(std::span<const std::int8_t> codes) {
  std::int64_t at = 0;
  int end = 0;  // the one of the two that the block has
  for (const int code : codes) {
    if (at % Block::elems == 0) end = 0;
    if (std::abs(code) > zero_field || (std::abs(code) == zero_field && code == -end)) return at;
    if (std::abs(code) == zero_field) end = code;
    ++at;
  }
  return -1;
}

}  // namespace

constinit const LayoutRow layout_q4_0 = ggml_row<Block>({.name = "q4_0",
                                                         .about = "ggml Q4_0: two codes a byte, an f16 scale every 32",
                                                         .id = 2,
                                                         .scheme = "int5-given:group(32)",
                                                         .first_misfit = first_misfit});

}  // namespace bnq::detail
