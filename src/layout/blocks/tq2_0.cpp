// tq2_0: ggml's type 35. Blocks of 256 codes along the depth: two halves of 128 codes in 32 bytes each, byte m of a
// half holds its codes m, m + 32, m + 64 and m + 96, the first in the lowest bits; then the scale.
// docs/formats/blocks/tq2_0.rst

#include "layout/blocks/block_rows.h"
#include "layout/blocks/quads.h"

namespace bnq::detail {
namespace {

struct Block {
  static constexpr std::int64_t elems = 256;
  static constexpr std::int64_t bytes = 66;
  static constexpr BlockCodes range{.low = -1, .high = 1, .text = "-1, 0, +1"};
  static constexpr Quads half{.stride = 32, .first = 0, .step = 2};
  static constexpr std::int64_t scale_at = 64;

  static void pack(const std::int8_t* codes, float scale, std::byte* block) {
    half.pack(codes, block);
    half.pack(codes + elems / 2, block + half.stride);
    put_f16(scale, block + scale_at);
  }

  static float unpack(const std::byte* block, std::int8_t* codes) {
    half.unpack(block, codes);
    half.unpack(block + half.stride, codes + elems / 2);
    return get_f16(block + scale_at);
  }
};

}  // namespace

constinit const LayoutRow layout_tq2_0 =
    ggml_row<Block>({.name = "tq2_0",
                     .about = "ggml TQ2_0: four ternary codes a byte, an f16 scale every 256",
                     .id = 35,
                     .scheme = "ternary-absmean:group(256)"});

}  // namespace bnq::detail
