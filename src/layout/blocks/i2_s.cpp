// i2_s: type 36 of bitnet.cpp. Four ternary codes a byte as code + 1, the first in the highest bits, then 32 bytes: the
// float32 scale of the tensor and zeros. A file does not say in which order codes lie; there are three, by how
// bitnet.cpp was built. All its published files have the first, and only that is written. docs/formats/blocks/i2_s.rst
//   i2_s      blocks of 128 codes in 32 bytes, byte m has the codes m, m + 32, m + 64, m + 96     (x86)
//   i2_s_arm  blocks of 64 codes in 16 bytes, byte m has the codes m, m + 16, m + 32, m + 48      (ARM)
//   i2_s_1x4  byte [r, k] of [N/4, K] has column k of the rows 4r, 4r + 1, 4r + 2, 4r + 3          (x86, by rows)

#include "layout/blocks/block_rows.h"
#include "layout/blocks/quads.h"

namespace bnq::detail {
namespace {

constexpr std::int64_t tail_bytes = 32;
constexpr std::int64_t elems_a_thread = 1 << 16;
constexpr BlockCodes block_codes{.low = -1, .high = 1, .text = "-1, 0, +1"};

constexpr Quads quads(std::int64_t stride) { return {.stride = stride, .first = 6, .step = -2}; }

Shape storage_shape(const Scheme& /*scheme*/, const Shape& shape) { return {element_count(shape) / 4 + tail_bytes}; }

std::string refusal_of_blocks(std::int64_t stride, const Scheme& scheme, const Shape& shape) {
  return block_refusal(block_codes, 4 * stride, scheme, shape);
}

/// Blocks of 4 * stride codes, one after another through the tensor.
void unpack_blocks(std::int64_t stride, std::span<const std::byte> data, const CodeMatrix<std::int8_t>& codes) {
  if (codes.codes.empty()) return;
  const std::int64_t blocks = std::ssize(codes.codes) / (4 * stride);
  const std::int64_t grain = std::max<std::int64_t>(1, elems_a_thread / (4 * stride));
  parallel_for(blocks, grain, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t b = first; b < last; ++b) {
      quads(stride).unpack(data.data() + b * stride, codes.codes.data() + b * 4 * stride);
    }
  });
  codes.held_scales[0] = get_f32(data.data() + std::ssize(codes.codes) / 4);
}

namespace x86 {

constexpr std::int64_t stride = 32;

std::string refusal(const Scheme& scheme, const Shape& shape) { return refusal_of_blocks(stride, scheme, shape); }

void pack(const CodeMatrix<const std::int8_t>& codes, std::span<std::byte> data) {
  std::ranges::fill(data.last(tail_bytes), std::byte{0});
  if (codes.codes.empty()) return;
  const std::int64_t blocks = std::ssize(codes.codes) / (4 * stride);
  parallel_for(blocks, elems_a_thread / (4 * stride), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t b = first; b < last; ++b) {
      quads(stride).pack(codes.codes.data() + b * 4 * stride, data.data() + b * stride);
    }
  });
  put_f32(codes.held_scales[0], data.data() + std::ssize(codes.codes) / 4);
}

void unpack(std::span<const std::byte> data, const CodeMatrix<std::int8_t>& codes) {
  unpack_blocks(stride, data, codes);
}

}  // namespace x86

namespace arm {

constexpr std::int64_t stride = 16;

std::string refusal(const Scheme& scheme, const Shape& shape) { return refusal_of_blocks(stride, scheme, shape); }

void unpack(std::span<const std::byte> data, const CodeMatrix<std::int8_t>& codes) {
  unpack_blocks(stride, data, codes);
}

}  // namespace arm

namespace by_rows {

constexpr std::int64_t rows_a_byte = 4;

std::string refusal(const Scheme& scheme, const Shape& shape) {
  if (std::string why = block_refusal(block_codes, 1, scheme, shape); !why.empty()) return why;
  if (shape.size() != 2) return "needs two axes, the tensor has " + std::to_string(shape.size());
  if (shape[0] % rows_a_byte == 0) return {};
  return "needs rows in multiples of 4, the tensor has " + std::to_string(shape[0]);
}

/// Four rows are one block, as long as the depth.
void unpack(std::span<const std::byte> data, const CodeMatrix<std::int8_t>& codes) {
  unpack_blocks(std::max<std::int64_t>(1, codes.depth), data, codes);
}

}  // namespace by_rows

constexpr HeldScales one_scale{.cell = {Granularity::Kind::tensor, 0}, .dtype = DType::f32};

}  // namespace

constinit const LayoutRow layout_i2_s{
    .name = "i2_s",
    .about = "bitnet.cpp I2_S: four ternary codes a byte, one float32 scale behind them",
    .storage_dtype = DType::u8,
    .refusal = x86::refusal,
    .storage_shape = storage_shape,
    .pack = x86::pack,
    .unpack = x86::unpack,
    .held_scales = one_scale,
    .ggml = GgmlType{
        .id = 36, .block_elems = 4 * x86::stride, .block_bytes = x86::stride, .scheme = "ternary-absmean:tensor"}};

constinit const LayoutRow layout_i2_s_arm{.name = "i2_s_arm",
                                          .about = "I2_S in the order of bitnet.cpp on ARM; read only",
                                          .storage_dtype = DType::u8,
                                          .refusal = arm::refusal,
                                          .storage_shape = storage_shape,
                                          .pack = nullptr,
                                          .unpack = arm::unpack,
                                          .held_scales = one_scale};

constinit const LayoutRow layout_i2_s_1x4{
    .name = "i2_s_1x4",
    .about = "I2_S in the order of bitnet.cpp built without ACT_PARALLEL; read only",
    .storage_dtype = DType::u8,
    .refusal = by_rows::refusal,
    .storage_shape = storage_shape,
    .pack = nullptr,
    .unpack = by_rows::unpack,
    .held_scales = one_scale};

}  // namespace bnq::detail
