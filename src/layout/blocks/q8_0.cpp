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

using Rows = BlockRows<Block>;

}  // namespace

constinit const LayoutRow layout_q8_0{
    .name = "q8_0",
    .about = "ggml Q8_0: one signed byte a code, an f16 scale every 32",
    .storage_dtype = DType::u8,
    .refusal = Rows::refusal,
    .storage_shape = Rows::storage_shape,
    .pack = Rows::pack,
    .unpack = Rows::unpack,
    .held_scales = HeldScales{.cell = {Granularity::Kind::group, Block::elems}, .dtype = DType::f16},
    .ggml =
        GgmlType{.id = 8, .block_elems = Block::elems, .block_bytes = Block::bytes, .scheme = "int8-given:group(32)"}};

}  // namespace bnq::detail
