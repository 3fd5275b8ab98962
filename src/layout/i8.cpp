// i8: one signed byte a code, in the order and shape of the tensor. docs/formats/i8.rst

#include "core/codes.h"
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

bool has_codes_of(const Scheme& scheme, std::span<const std::byte> data) {
  return has_only_codes_of(scheme, {reinterpret_cast<const std::int8_t*>(data.data()), data.size()});
}

}  // namespace

constinit const LayoutRow layout_i8{.name = "i8",
                                    .about = "one signed byte a code",
                                    .file_suffix = "",
                                    .storage_dtype = DType::i8,
                                    .refusal = refusal,
                                    .storage_shape = storage_shape,
                                    .bytes_are_codes = true,
                                    .pack = pack,
                                    .unpack = unpack,
                                    .has_codes_of = has_codes_of};

}  // namespace bnq::detail
