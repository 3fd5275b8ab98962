#include "layout/blocks/block_rows.h"

#include "core/checked.h"
#include "core/fail.h"
#include "core/float16.h"

namespace bnq::detail {
namespace {

bool takes(const BlockCodes& codes, const Scheme& scheme) {
  if (scheme.is_given() && scheme.code_bits() <= codes.given_bits) return true;
  return scheme.min_code() >= codes.low && scheme.max_code() <= codes.high;
}

// Byte by byte: the order in a file does not depend on the CPU.
template <typename Bits>
void put_bits(Bits bits, std::byte* at) {
  for (std::size_t i = 0; i < sizeof bits; ++i)
    at[i] = static_cast<std::byte>(static_cast<unsigned>(bits) >> 8 * i & 0xFFU);
}

template <typename Bits>
Bits get_bits(const std::byte* at) {
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < sizeof(Bits); ++i) bits |= std::to_integer<std::uint32_t>(at[i]) << 8 * i;
  return static_cast<Bits>(bits);
}

}  // namespace

std::string block_refusal(const BlockCodes& codes, std::int64_t elems, const Scheme& scheme, const Shape& shape) {
  if (!takes(codes, scheme)) {
    return "needs codes " + std::string(codes.text) + ", " + std::string(scheme.rule()) + " has others";
  }
  if (shape.empty()) return "needs at least one axis";
  if (shape.back() % elems == 0) return {};
  return "needs a depth in multiples of " + std::to_string(elems) + ", the tensor has " + std::to_string(shape.back());
}

std::int64_t row_bytes_of(std::int64_t blocks, std::int64_t bytes) {
  const auto product = checked_mul(blocks, bytes);
  if (product) return *product;
  fail(ErrorKind::invalid_argument, {.where = "layout",
                                     .what = "too many bytes in a row",
                                     .got = std::to_string(blocks) + " blocks of " + std::to_string(bytes),
                                     .need = "fewer than 2^63"});
}

void put_f16(float scale, std::byte* at) { put_bits(f32_to_f16(scale), at); }
float get_f16(const std::byte* at) { return f16_to_f32(get_bits<std::uint16_t>(at)); }

void put_f32(float scale, std::byte* at) { put_bits(std::bit_cast<std::uint32_t>(scale), at); }
float get_f32(const std::byte* at) { return std::bit_cast<float>(get_bits<std::uint32_t>(at)); }

std::int64_t first_outside(std::span<const std::int8_t> codes, int low, int high) {
  const auto at = std::ranges::find_if(codes, [&](int code) { return code < low || code > high; });
  return at == codes.end() ? -1 : at - codes.begin();
}

}  // namespace bnq::detail
