// q8_0: ggml's type 8. Blocks of 32 codes along the depth: the scale, then one signed byte a code.
// docs/formats/blocks/q8_0.rst

#include "layout/blocks/block_rows.h"

namespace bnq::detail {
namespace {

struct Block {
  static constexpr std::int64_t elems = 32;
  static constexpr std::int64_t bytes = 34;
  static constexpr BlockCodes range{.low = -128, .high = 127, .text = "-128 to 127"};
  static constexpr std::int64_t codes_at = 2;

  static void pack(const std::int8_t* codes, float scale, std::byte* block) {
    put_f16(scale, block);
    std::memcpy(block + codes_at, codes, elems);
  }

  static float unpack(const std::byte* block, std::int8_t* codes) {
    std::memcpy(codes, block + codes_at, elems);
    return get_f16(block);
  }
};

}  // namespace

constinit const LayoutRow layout_q8_0 =
    ggml_row<Block>({.name = "q8_0",
                     .about = "ggml Q8_0: one signed byte a code, an f16 scale every 32",
                     .id = 8,
                     .scheme = "int8-given:group(32)"});

}  // namespace bnq::detail
