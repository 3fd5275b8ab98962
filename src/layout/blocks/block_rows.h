#pragma once

#include "core/parallel.h"
#include "layout/layout_row.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

namespace bnq::detail {

/// Where a code has to lie: of a scheme with a wider range, only a given one fits, and its codes are looked at.
struct BlockCodes {
  int low;
  int high;
  std::string_view text;  ///< the range for people: "-1, 0, +1"
  int given_bits = 0;     ///< widest given scheme that is taken although its codes could lie outside
};

/// Empty, or why codes of this scheme and shape cannot be cut into blocks of `elems` along the depth.
[[nodiscard]] std::string block_refusal(const BlockCodes& codes, std::int64_t elems, const Scheme& scheme,
                                        const Shape& shape);

/// blocks * bytes. Throws `invalid_argument` when that is 2^63 or more: blocks may be larger than their codes.
[[nodiscard]] std::int64_t row_bytes_of(std::int64_t blocks, std::int64_t bytes);

/// Rows of blocks, each with its own scale. A `Block` is a struct with
///   elems, bytes                        codes and bytes of a block
///   range                               BlockCodes
///   static void pack(codes, scale, block), static float unpack(block, codes)
/// and stands in the file of its layout.
template <typename Block>
struct BlockRows {
  static constexpr std::int64_t elems_a_thread = 1 << 16;
  static constexpr std::int64_t blocks_a_thread = elems_a_thread / Block::elems;

  [[nodiscard]] static std::string refusal(const Scheme& scheme, const Shape& shape) {
    return block_refusal(Block::range, Block::elems, scheme, shape);
  }

  [[nodiscard]] static Shape storage_shape(const Scheme& /*scheme*/, const Shape& shape) {
    Shape bytes = shape;
    bytes.back() = row_bytes_of(shape.back() / Block::elems, Block::bytes);
    return bytes;
  }

  static void pack(const CodeMatrix<const std::int8_t>& codes, std::span<std::byte> data) {
    parallel_for(std::ssize(codes.held_scales), blocks_a_thread, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t b = first; b < last; ++b) {
        Block::pack(codes.codes.data() + b * Block::elems, codes.held_scales[static_cast<std::size_t>(b)],
                    data.data() + b * Block::bytes);
      }
    });
  }

  static void unpack(std::span<const std::byte> data, const CodeMatrix<std::int8_t>& codes) {
    parallel_for(std::ssize(codes.held_scales), blocks_a_thread, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t b = first; b < last; ++b) {
        codes.held_scales[static_cast<std::size_t>(b)] =
            Block::unpack(data.data() + b * Block::bytes, codes.codes.data() + b * Block::elems);
      }
    });
  }
};

/// The scale of a block, little-endian f16 at `at`. `scale` is one already: storing it rounds nothing.
void put_f16(float scale, std::byte* at);
[[nodiscard]] float get_f16(const std::byte* at);

/// A float32, little-endian.
void put_f32(float scale, std::byte* at);
[[nodiscard]] float get_f32(const std::byte* at);

/// Index of the first code outside of [low, high], or -1.
[[nodiscard]] std::int64_t first_outside(std::span<const std::int8_t> codes, int low, int high);

/// What tells the layouts of ggml's types apart, beside their blocks.
struct GgmlRow {
  std::string_view name;
  std::string_view about;
  int id;
  std::string_view scheme;  ///< reads every tensor of this type
  std::int64_t (*first_misfit)(std::span<const std::int8_t> codes) = nullptr;
};

/// The layout of a type of ggml whose rows are blocks and nothing else, each with a scale in f16.
template <typename Block>
constexpr LayoutRow ggml_row(const GgmlRow& row) {
  using Rows = BlockRows<Block>;
  return {
      .name = row.name,
      .about = row.about,
      .storage_dtype = DType::u8,
      .refusal = Rows::refusal,
      .storage_shape = Rows::storage_shape,
      .pack = Rows::pack,
      .unpack = Rows::unpack,
      .held_scales = HeldScales{.cell = {Granularity::Kind::group, Block::elems}, .dtype = DType::f16},
      .first_misfit = row.first_misfit,
      .ggml = GgmlType{.id = row.id, .block_elems = Block::elems, .block_bytes = Block::bytes, .scheme = row.scheme}};
}

}  // namespace bnq::detail
