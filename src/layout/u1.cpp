// u1: one bit a binary code, 1 = +1 and 0 = -1. First code in the lowest bit, rows padded with zero bits to whole
// bytes. docs/formats/u1.rst

#include "layout/bit_rows.h"
#include "layout/layout_row.h"

namespace bnq::detail {
namespace {

constexpr BitRows form{.bits = 1, .offset = 1, .step = 2, .row_bytes_multiple = 1};

std::string refusal(const Scheme& scheme, const Shape& shape) {
  if (scheme.code_bits() != 1) return "needs binary codes, " + std::string(scheme.rule()) + " has others";
  return shape.empty() ? "needs at least one axis" : "";
}

Shape storage_shape(const Scheme& /*scheme*/, const Shape& shape) {
  Shape bytes = shape;
  bytes.back() = form.row_bytes(shape.back());
  return bytes;
}

void pack(const CodeMatrix<const std::int8_t>& codes, std::span<std::byte> data) { form.pack(codes, data); }

void unpack(std::span<const std::byte> data, const CodeMatrix<std::int8_t>& codes) { form.unpack(data, codes); }

}  // namespace

constinit const LayoutRow layout_u1{.name = "u1",
                                    .about = "one bit a binary code",
                                    .file_suffix = "",
                                    .storage_dtype = DType::u8,
                                    .refusal = refusal,
                                    .storage_shape = storage_shape,
                                    .pack = pack,
                                    .unpack = unpack};

}  // namespace bnq::detail
