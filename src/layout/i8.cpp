// i8: one signed byte a code, in the order and shape of the tensor. docs/formats/i8.rst

#include "layout/layout_row.h"

#include <cstring>

namespace bnq::detail {
namespace {

std::string refusal(const Scheme& /*scheme*/, const Shape& /*shape*/) { return {}; }

Shape storage_shape(const Scheme& /*scheme*/, const Shape& shape) { return shape; }

void pack(const CodeMatrix<const std::int8_t>& codes, std::span<std::byte> data) {
  if (!data.empty()) std::memcpy(data.data(), codes.codes.data(), data.size());
}

void unpack(std::span<const std::byte> data, const CodeMatrix<std::int8_t>& codes) {
  if (!data.empty()) std::memcpy(codes.codes.data(), data.data(), data.size());
}

}  // namespace

constinit const LayoutRow layout_i8{.name = "i8",
                                    .about = "one signed byte a code",
                                    .file_suffix = "",
                                    .storage_dtype = DType::i8,
                                    .refusal = refusal,
                                    .storage_shape = storage_shape,
                                    .pack = pack,
                                    .unpack = unpack};

}  // namespace bnq::detail
