// u2_ort, u4_ort, u8_ort: the input B of MatMulNBits in ONNX Runtime, [N, groups, bytes]. A group of the scheme is a
// block: its codes follow each other in b-bit fields, code + 2^(b-1), the first in the lowest bits. 2^(b-1) is the
// operator's zero point when none is given, and fills the last block up. Scales lie beside. docs/formats/blocks/ort.rst

#include "core/checked.h"
#include "core/parallel.h"
#include "layout/layout_row.h"

#include <algorithm>
#include <bit>

namespace bnq::detail {
namespace {

constexpr std::int64_t smallest_block = 16;
constexpr std::int64_t largest_block = 256;  // of what the runtime computes rightly on each device

bool is_block(const Granularity& granularity) {
  const std::int64_t size = granularity.group_size;
  return size >= smallest_block && size <= largest_block && std::has_single_bit(static_cast<std::uint64_t>(size));
}

template <int bits>
struct Plane {
  static constexpr int zero_point = 1 << (bits - 1);
  static constexpr std::int64_t fields_a_byte = 8 / bits;
  static constexpr unsigned mask = (1U << bits) - 1U;

  static std::string refusal(const Scheme& scheme, const Shape& shape) {
    if (scheme.min_code() < -zero_point || scheme.max_code() >= zero_point) {
      return "needs codes from " + std::to_string(-zero_point) + " to " + std::to_string(zero_point - 1) + ", " +
             std::string(scheme.rule()) + " has others";
    }
    if (shape.size() != 2) return "needs two axes, the tensor has " + std::to_string(shape.size());
    if (is_block(scheme.granularity())) return {};
    return "needs a scale for each group of 16, 32, 64, 128 or 256, not by " + scheme.granularity().to_string();
  }

  static Shape storage_shape(const Scheme& scheme, const Shape& shape) {
    const std::int64_t size = scheme.granularity().group_size;
    return {shape[0], ceil_div(shape[1], size), size / fields_a_byte};
  }

  static std::int64_t grain(std::int64_t depth) {
    constexpr std::int64_t elems_a_thread = 1 << 16;
    return std::max<std::int64_t>(1, elems_a_thread / std::max<std::int64_t>(1, depth));
  }

  static void pack(const CodeMatrix<const std::int8_t>& codes, std::span<std::byte> data) {
    if (codes.rows == 0) return;
    const std::int64_t row_bytes = std::ssize(data) / codes.rows;
    parallel_for(codes.rows, grain(codes.depth), [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t r = first; r < last; ++r) {
        const std::span<const std::int8_t> row = codes.row(r);
        for (std::int64_t b = 0; b < row_bytes; ++b)
          data[static_cast<std::size_t>(r * row_bytes + b)] = byte_of(row, b);
      }
    });
  }

  static void unpack(std::span<const std::byte> data, const CodeMatrix<std::int8_t>& codes) {
    if (codes.rows == 0) return;
    const std::int64_t row_bytes = std::ssize(data) / codes.rows;
    parallel_for(codes.rows, grain(codes.depth), [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t r = first; r < last; ++r) {
        const std::byte* const bytes = data.data() + r * row_bytes;
        std::int8_t* const row = codes.row(r).data();
        for (std::int64_t k = 0; k < codes.depth; ++k) {
          const auto byte = std::to_integer<unsigned>(bytes[k / fields_a_byte]);
          const unsigned field = byte >> static_cast<unsigned>(k % fields_a_byte * bits) & mask;
          row[k] = static_cast<std::int8_t>(static_cast<int>(field) - zero_point);
        }
      }
    });
  }

 private:
  static std::byte byte_of(std::span<const std::int8_t> row, std::int64_t b) {
    unsigned byte = 0;
    for (std::int64_t n = 0; n < fields_a_byte; ++n) {
      const std::int64_t k = b * fields_a_byte + n;
      const int code = k < std::ssize(row) ? row[static_cast<std::size_t>(k)] : 0;
      byte |= static_cast<unsigned>(code + zero_point) << static_cast<unsigned>(n * bits);
    }
    return static_cast<std::byte>(byte);
  }
};

}  // namespace

constinit const LayoutRow layout_u2_ort{.name = "u2_ort",
                                        .about = "ONNX Runtime MatMulNBits, bits = 2",
                                        .storage_dtype = DType::u8,
                                        .refusal = Plane<2>::refusal,
                                        .storage_shape = Plane<2>::storage_shape,
                                        .pack = Plane<2>::pack,
                                        .unpack = Plane<2>::unpack};

constinit const LayoutRow layout_u4_ort{.name = "u4_ort",
                                        .about = "ONNX Runtime MatMulNBits, bits = 4",
                                        .storage_dtype = DType::u8,
                                        .refusal = Plane<4>::refusal,
                                        .storage_shape = Plane<4>::storage_shape,
                                        .pack = Plane<4>::pack,
                                        .unpack = Plane<4>::unpack};

constinit const LayoutRow layout_u8_ort{.name = "u8_ort",
                                        .about = "ONNX Runtime MatMulNBits, bits = 8",
                                        .storage_dtype = DType::u8,
                                        .refusal = Plane<8>::refusal,
                                        .storage_shape = Plane<8>::storage_shape,
                                        .pack = Plane<8>::pack,
                                        .unpack = Plane<8>::unpack};

}  // namespace bnq::detail
