// u2_hf: the 2-bit form of BitNet checkpoints in Transformers. Byte row j of [N/4, K] holds the rows j, j + N/4,
// j + 2N/4 and j + 3N/4 at bits 0, 2, 4 and 6; a field is code + 1, and 3 is no code. docs/formats/u2_hf.rst

#include "core/parallel.h"
#include "layout/layout_row.h"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace bnq::detail {
namespace {

constexpr std::int64_t rows_a_byte = 4;
constexpr std::int64_t elems_a_thread = 1 << 16;

std::string refusal(const Scheme& scheme, const Shape& shape) {
  if (scheme.min_code() != -1 || scheme.max_code() != 1 || !scheme.has_zero()) {
    return "needs codes -1, 0, +1, " + std::string(scheme.rule()) + " has others";
  }
  if (scheme.granularity() != Granularity::tensor()) {
    return "has one scale, " + scheme.granularity().to_string() + " needs more";
  }
  if (shape.size() != 2) return "needs two axes, the tensor has " + std::to_string(shape.size());
  if (shape[0] % rows_a_byte == 0) return {};
  return "needs rows in multiples of 4, the tensor has " + std::to_string(shape[0]);
}

Shape storage_shape(const Scheme& /*scheme*/, const Shape& shape) { return {shape[0] / rows_a_byte, shape[1]}; }

std::int64_t grain(std::int64_t depth) {
  return std::max<std::int64_t>(1, elems_a_thread / (rows_a_byte * std::max<std::int64_t>(1, depth)));
}

/// Fields, code + 1, of eight codes at once: no code is below -1, so that no carry leaves its byte.
std::uint64_t fields_of(const std::int8_t* codes) {
  constexpr std::uint64_t sign = 0x8080808080808080U;
  constexpr std::uint64_t one = 0x0101010101010101U;
  std::uint64_t eight = 0;
  std::memcpy(&eight, codes, sizeof eight);
  return ((eight & ~sign) + one) ^ (eight & sign);
}

/// Bytes [first, last) of the layout; `quarter` codes lie between the four of a byte.
void pack_range(const std::int8_t* codes, std::int64_t quarter, std::int64_t first, std::int64_t last, std::byte* out) {
  constexpr std::int64_t step = sizeof(std::uint64_t);
  std::int64_t at = first;
  for (; at + step <= last; at += step) {
    const std::int8_t* const c = codes + at;
    const std::uint64_t bytes = fields_of(c) | fields_of(c + quarter) << 2U | fields_of(c + 2 * quarter) << 4U |
                                fields_of(c + 3 * quarter) << 6U;
    std::memcpy(out + at, &bytes, sizeof bytes);
  }
  for (; at < last; ++at) {
    unsigned byte = 0;
    for (std::int64_t i = 0; i < rows_a_byte; ++i) {
      byte |= static_cast<unsigned>(codes[at + i * quarter] + 1) << static_cast<unsigned>(2 * i);
    }
    out[at] = static_cast<std::byte>(byte);
  }
}

void pack(const CodeMatrix<const std::int8_t>& codes, std::span<std::byte> data) {
  const std::int64_t byte_rows = codes.rows / rows_a_byte;
  const std::int64_t depth = codes.depth;
  parallel_for(byte_rows, grain(depth), [&](std::int64_t first, std::int64_t last) {
    pack_range(codes.codes.data(), byte_rows * depth, first * depth, last * depth, data.data());
  });
}

/// Codes of the fields in the low two bits of eight bytes, the inverse of `fields_of`. The field 3 becomes 2, no code.
std::uint64_t codes_of(std::uint64_t fields) {
  constexpr std::uint64_t sign = 0x8080808080808080U;
  constexpr std::uint64_t one = 0x0101010101010101U;
  constexpr std::uint64_t field = 0x0303030303030303U;
  return (((fields & field) | sign) - one) ^ sign;
}

/// The codes of bytes [first, last) of the layout; `quarter` codes lie between the four of a byte.
void unpack_range(const std::byte* data, std::int64_t quarter, std::int64_t first, std::int64_t last,
                  std::int8_t* codes) {
  constexpr std::int64_t step = sizeof(std::uint64_t);
  std::int64_t at = first;
  for (; at + step <= last; at += step) {
    std::uint64_t bytes = 0;
    std::memcpy(&bytes, data + at, sizeof bytes);
    for (std::int64_t i = 0; i < rows_a_byte; ++i) {
      const std::uint64_t eight = codes_of(bytes >> static_cast<unsigned>(2 * i));
      std::memcpy(codes + i * quarter + at, &eight, sizeof eight);
    }
  }
  for (; at < last; ++at) {
    for (std::int64_t i = 0; i < rows_a_byte; ++i) {
      const unsigned field = std::to_integer<unsigned>(data[at]) >> static_cast<unsigned>(2 * i) & 3U;
      codes[i * quarter + at] = static_cast<std::int8_t>(static_cast<int>(field) - 1);
    }
  }
}

void unpack(std::span<const std::byte> data, const CodeMatrix<std::int8_t>& codes) {
  const std::int64_t byte_rows = codes.rows / rows_a_byte;
  const std::int64_t depth = codes.depth;
  parallel_for(byte_rows, grain(depth), [&](std::int64_t first, std::int64_t last) {
    unpack_range(data.data(), byte_rows * depth, first * depth, last * depth, codes.codes.data());
  });
}

/// No field is 3. Eight bytes at once: a bit that crosses from one byte to the next is never looked at.
bool has_codes_of(const Scheme& /*scheme*/, std::span<const std::byte> data) {
  constexpr std::uint64_t low_bits = 0x5555555555555555U;
  constexpr std::int64_t step = sizeof(std::uint64_t);
  std::atomic<bool> all = true;
  parallel_for(static_cast<std::int64_t>(data.size()), elems_a_thread, [&](std::int64_t first, std::int64_t last) {
    std::uint64_t both_bits = 0;
    for (std::int64_t at = first; at < last; at += step) {
      std::uint64_t bytes = 0;
      std::memcpy(&bytes, data.data() + at, static_cast<std::size_t>(std::min(step, last - at)));
      both_bits |= bytes & bytes >> 1U;
    }
    if ((both_bits & low_bits) != 0) all = false;
  });
  return all;
}

}  // namespace

constinit const LayoutRow layout_u2_hf{.name = "u2_hf",
                                       .about = "four ternary codes a byte, one scale, as Transformers stores BitNet",
                                       .file_suffix = "",
                                       .storage_dtype = DType::u8,
                                       .refusal = refusal,
                                       .storage_shape = storage_shape,
                                       .pack = pack,
                                       .unpack = unpack,
                                       .has_codes_of = has_codes_of};

}  // namespace bnq::detail
