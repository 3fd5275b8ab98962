#include "io/gguf/type.h"

#include "core/checked.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace bnq::detail::gguf {
namespace {

// Lengths and bytes: the block structures of ggml (ggml-common.h). iq1_bn, iq2_bn and iq2_bn_r4 are ik_llama.cpp's;
// pq2_0 and ptq1_0 are PrismML's, whose early files say 42; stq1_0 is Tencent's, whose files say 42. i2_s is
// bitnet.cpp's, whose builds order its codes in three ways and say nowhere in which: sure are four codes a byte.
constexpr Type table[] = {
    {0, "f32", 1, 4, 0, 0, DType::f32},
    {1, "f16", 1, 2, 0, 0, DType::f16},
    {2, "q4_0", 32, 18, 0, 0},
    {3, "q4_1", 32, 20, 0, 0},
    {6, "q5_0", 32, 22, 0, 0},
    {7, "q5_1", 32, 24, 0, 0},
    {8, "q8_0", 32, 34, 0, 0},
    {9, "q8_1", 32, 36, 0, 0},
    {10, "q2_k", 256, 84, 0, 0},
    {11, "q3_k", 256, 110, 0, 0},
    {12, "q4_k", 256, 144, 0, 0},
    {13, "q5_k", 256, 176, 0, 0},
    {14, "q6_k", 256, 210, 0, 0},
    {15, "q8_k", 256, 292, 0, 0},
    {16, "iq2_xxs", 256, 66, 0, 0},
    {17, "iq2_xs", 256, 74, 0, 0},
    {18, "iq3_xxs", 256, 98, 0, 0},
    {19, "iq1_s", 256, 50, 0, 0},
    {20, "iq4_nl", 32, 18, 0, 0},
    {21, "iq3_s", 256, 110, 0, 0},
    {22, "iq2_s", 256, 82, 0, 0},
    {23, "iq4_xs", 256, 136, 0, 0},
    {24, "i8", 1, 1, 0, 0, DType::i8},
    {25, "i16", 1, 2, 0, 0, DType::i16},
    {26, "i32", 1, 4, 0, 0, DType::i32},
    {27, "i64", 1, 8, 0, 0, DType::i64},
    {28, "f64", 1, 8, 0, 0, DType::f64},
    {29, "iq1_m", 256, 56, 0, 0},
    {30, "bf16", 1, 2, 0, 0, DType::bf16},
    {34, "tq1_0", 256, 54, 0, 0},
    {35, "tq2_0", 256, 66, 0, 0},
    {36, "i2_s", 4, 1, 0, 32},
    {39, "mxfp4", 32, 17, 0, 0},
    {40, "nvfp4", 64, 36, 0, 0},
    {41, "q1_0", 128, 18, 0, 0},
    {42, "q2_0", 64, 18, 0, 0},
    {43, "stq1_0", 256, 42, 0, 0},
    {134, "iq1_bn", 64, 13, 2, 0},
    {135, "iq2_bn", 64, 16, 4, 0},
    {142, "pq2_0", 128, 34, 0, 0},
    {143, "ptq1_0", 128, 28, 0, 0},
    {335, "iq2_bn_r4", 64, 16, 4, 0},
    // Meanings of earlier files, behind those that are written today.
    {42, "pq2_0", 128, 34, 0, 0},
    {42, "stq1_0", 256, 42, 0, 0},
};

// The bytes of tl1 and tl2 depend on how bitnet.cpp was built.
constexpr std::pair<std::uint32_t, std::string_view> unread[] = {
    {4, "q4_2 (removed from ggml)"},
    {5, "q4_3 (removed from ggml)"},
    {31, "q4_0_4_4 (removed from ggml)"},
    {32, "q4_0_4_8 (removed from ggml)"},
    {33, "q4_0_8_8 (removed from ggml)"},
    {36, "iq4_nl_4_4 (removed from ggml)"},
    {37, "i8_s of bitnet.cpp, or iq4_nl_4_8 (removed from ggml)"},
    {38, "tl1 of bitnet.cpp, or iq4_nl_8_8 (removed from ggml)"},
    {39, "tl2 of bitnet.cpp before July 2026"},
    {42, "tl2 of bitnet.cpp since July 2026"},
};

}  // namespace

std::span<const Type> types() { return table; }

const Type* find_type(std::string_view name) {
  const Type* const row = std::ranges::find(table, name, &Type::name);
  return row == std::end(table) ? nullptr : row;
}

const Type* find_type(DType dtype) {
  const Type* const row = std::ranges::find(table, std::optional(dtype), &Type::dtype);
  return row == std::end(table) ? nullptr : row;
}

std::vector<const Type*> types_of(std::uint32_t id) {
  std::vector<const Type*> rows;
  for (const Type& row : table) {
    if (row.id == id) rows.push_back(&row);
  }
  return rows;
}

std::string_view unread_type(std::uint32_t id) {
  for (const auto& [known, what] : unread) {
    if (known == id) return what;
  }
  return {};
}

std::optional<std::uint64_t> size_of(const Type& type, const Shape& shape) {
  constexpr std::int64_t one = 1;
  const std::int64_t depth = shape.empty() ? one : shape.back();
  std::optional<std::int64_t> rows = one;
  for (std::size_t axis = 0; rows && axis + 1 < shape.size(); ++axis) rows = checked_mul(*rows, shape[axis]);
  if (!rows || depth % type.block_length != 0 || !checked_mul(*rows, depth)) return std::nullopt;
  const auto blocks = checked_mul<std::int64_t>(depth / type.block_length, type.block_bytes);
  const auto row = blocks ? checked_add<std::int64_t>(*blocks, type.row_bytes) : std::nullopt;
  const auto all = row ? checked_mul(*rows, *row) : std::nullopt;
  const auto bytes = all ? checked_add<std::int64_t>(*all, type.tensor_bytes) : std::nullopt;
  return bytes ? std::optional(static_cast<std::uint64_t>(*bytes)) : std::nullopt;
}

std::string name_and_id(const Type& type) { return std::string(type.name) + " (" + std::to_string(type.id) + ")"; }

}  // namespace bnq::detail::gguf
