// iq2_bn: type 135 of ik_llama.cpp. A row is its float32 scale, then blocks of 64 codes in 16 bytes: byte j holds the
// codes j, j + 16, j + 32 and j + 48 as code + 1, the first in the lowest bits. docs/formats/blocks/iq2_bn.rst

#include "layout/blocks/block_rows.h"
#include "layout/blocks/quads.h"

namespace bnq::detail {
namespace {

constexpr std::int64_t block_elems = 64;
constexpr std::int64_t scale_bytes = 4;
constexpr Quads block{.stride = 16, .first = 0, .step = 2};
constexpr BlockCodes block_codes{.low = -1, .high = 1, .text = "-1, 0, +1"};

std::int64_t row_bytes(std::int64_t depth) { return scale_bytes + depth / block_elems * block.stride; }

std::int64_t row_grain(std::int64_t depth) {
  constexpr std::int64_t elems_a_thread = 1 << 16;
  return std::max<std::int64_t>(1, elems_a_thread / std::max<std::int64_t>(1, depth));
}

std::string refusal(const Scheme& scheme, const Shape& shape) {
  return block_refusal(block_codes, block_elems, scheme, shape);
}

/// A row without codes has no scale either.
Shape storage_shape(const Scheme& /*scheme*/, const Shape& shape) {
  Shape bytes = shape;
  if (shape.back() > 0) bytes.back() = row_bytes(shape.back());
  return bytes;
}

void pack(const CodeMatrix<const std::int8_t>& codes, std::span<std::byte> data) {
  parallel_for(codes.rows, row_grain(codes.depth), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t r = first; r < last; ++r) {
      std::byte* const row = data.data() + r * row_bytes(codes.depth);
      put_f32(codes.held_scales[static_cast<std::size_t>(r)], row);
      for (std::int64_t at = 0; at < codes.depth; at += block_elems) {
        block.pack(codes.codes.data() + r * codes.depth + at, row + scale_bytes + at / 4);
      }
    }
  });
}

void unpack(std::span<const std::byte> data, const CodeMatrix<std::int8_t>& codes) {
  parallel_for(codes.rows, row_grain(codes.depth), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t r = first; r < last; ++r) {
      const std::byte* const row = data.data() + r * row_bytes(codes.depth);
      codes.held_scales[static_cast<std::size_t>(r)] = get_f32(row);
      for (std::int64_t at = 0; at < codes.depth; at += block_elems) {
        block.unpack(row + scale_bytes + at / 4, codes.codes.data() + r * codes.depth + at);
      }
    }
  });
}

}  // namespace

constinit const LayoutRow layout_iq2_bn{
    .name = "iq2_bn",
    .about = "ik_llama.cpp IQ2_BN: four ternary codes a byte, a float32 scale before each row",
    .storage_dtype = DType::u8,
    .refusal = refusal,
    .storage_shape = storage_shape,
    .pack = pack,
    .unpack = unpack,
    .held_scales = HeldScales{.cell = {Granularity::Kind::row, 0}, .dtype = DType::f32},
    .ggml =
        GgmlType{.id = 135, .block_elems = block_elems, .block_bytes = block.stride, .scheme = "ternary-absmean:row"}};

}  // namespace bnq::detail
