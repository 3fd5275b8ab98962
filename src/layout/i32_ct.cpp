// i32_ct: the packed int32 form of compressed-tensors. Each row is a stream of b-bit fields, code + 2^(b-1), first
// field in the lowest bits, padded with zero bits to whole little-endian int32 words. docs/formats/i32_ct.rst

#include "layout/bit_rows.h"
#include "layout/layout_row.h"

namespace bnq::detail {
namespace {

constexpr std::int64_t word_bytes = 4;

BitRows form(int code_bits) {
  return {.bits = static_cast<unsigned>(code_bits),
          .offset = 1 << (code_bits - 1),
          .step = 1,
          .row_bytes_multiple = word_bytes};
}

std::string refusal(const Scheme& scheme, const Shape& shape) {
  if (scheme.code_bits() < 2 || scheme.code_bits() > 7) {
    return "needs codes of 2 to 7 bits, " + std::string(scheme.rule()) + " has " + std::to_string(scheme.code_bits());
  }
  return shape.empty() ? "needs at least one axis" : "";
}

Shape storage_shape(const Scheme& scheme, const Shape& shape) {
  Shape words = shape;
  words.back() = form(scheme.code_bits()).row_bytes(shape.back()) / word_bytes;
  return words;
}

void pack(const CodeMatrix<const std::int8_t>& codes, std::span<std::byte> data) {
  form(codes.code_bits).pack(codes, data);
}

void unpack(std::span<const std::byte> data, const CodeMatrix<std::int8_t>& codes) {
  form(codes.code_bits).unpack(data, codes);
}

}  // namespace

constinit const LayoutRow layout_i32_ct{.name = "i32_ct",
                                        .about = "2 to 7 bits a code in int32 words, as compressed-tensors packs them",
                                        .file_suffix = "_packed",
                                        .storage_dtype = DType::i32,
                                        .refusal = refusal,
                                        .storage_shape = storage_shape,
                                        .pack = pack,
                                        .unpack = unpack};

}  // namespace bnq::detail
