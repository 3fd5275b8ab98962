// q2_0: ggml's type 42. Blocks of 64 codes along the depth: the scale, then four neighbours a byte as code + 1, the
// first in the lowest bits. docs/formats/blocks/q2_0.rst

#include "layout/blocks/block_rows.h"

namespace bnq::detail {
namespace {

struct Block {
  static constexpr std::int64_t elems = 64;
  static constexpr std::int64_t bytes = 18;
  static constexpr BlockCodes range{.low = -1, .high = 2, .text = "-1, 0, +1, +2", .given_bits = 3};
  static constexpr std::int64_t codes_at = 2;

  static void pack(const std::int8_t* codes, float scale, std::byte* block) {
    put_f16(scale, block);
    for (std::int64_t i = 0; i < elems; i += 4) {
      unsigned byte = 0;
      for (int n = 0; n < 4; ++n) byte |= static_cast<unsigned>(codes[i + n] + 1) << static_cast<unsigned>(2 * n);
      block[codes_at + i / 4] = static_cast<std::byte>(byte);
    }
  }

  static float unpack(const std::byte* block, std::int8_t* codes) {
    for (std::int64_t i = 0; i < elems; ++i) {
      const auto byte = std::to_integer<unsigned>(block[codes_at + i / 4]);
      codes[i] = static_cast<std::int8_t>(static_cast<int>(byte >> static_cast<unsigned>(i % 4 * 2) & 3U) - 1);
    }
    return get_f16(block);
  }
};

std::int64_t first_misfit(std::span<const std::int8_t> codes) {
  return first_outside(codes, Block::range.low, Block::range.high);
}

}  // namespace

constinit const LayoutRow layout_q2_0 = ggml_row<Block>({.name = "q2_0",
                                                         .about = "ggml Q2_0: four codes a byte, an f16 scale every 64",
                                                         .id = 42,
                                                         .scheme = "int3-given:group(64)",
                                                         .first_misfit = first_misfit});

}  // namespace bnq::detail
