#pragma once

#include <bnq/dtype.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace bnq::detail {

struct SafetensorsDType {
  DType dtype;
  std::string_view name;
};

/// The dtypes of the file format, in the order in which its writers sort tensors.
inline constexpr std::array<SafetensorsDType, 19> safetensors_dtypes{{
    {DType::u64, "U64"},
    {DType::i64, "I64"},
    {DType::f64, "F64"},
    {DType::c64, "C64"},
    {DType::f32, "F32"},
    {DType::u32, "U32"},
    {DType::i32, "I32"},
    {DType::bf16, "BF16"},
    {DType::f16, "F16"},
    {DType::u16, "U16"},
    {DType::i16, "I16"},
    {DType::f8_e5m2fnuz, "F8_E5M2FNUZ"},
    {DType::f8_e4m3fnuz, "F8_E4M3FNUZ"},
    {DType::f8_e8m0, "F8_E8M0"},
    {DType::f8_e4m3, "F8_E4M3"},
    {DType::f8_e5m2, "F8_E5M2"},
    {DType::i8, "I8"},
    {DType::u8, "U8"},
    {DType::boolean, "BOOL"},
}};

[[nodiscard]] inline std::size_t safetensors_rank(DType dtype) {
  const auto* const row = std::ranges::find(safetensors_dtypes, dtype, &SafetensorsDType::dtype);
  return static_cast<std::size_t>(row - safetensors_dtypes.begin());
}

[[nodiscard]] inline std::string_view safetensors_name(DType dtype) {
  return safetensors_dtypes[safetensors_rank(dtype)].name;
}

[[nodiscard]] inline std::optional<DType> parse_safetensors_dtype(std::string_view name) {
  const auto* const row = std::ranges::find(safetensors_dtypes, name, &SafetensorsDType::name);
  return row == safetensors_dtypes.end() ? std::nullopt : std::optional(row->dtype);
}

[[nodiscard]] inline std::string safetensors_names() {
  std::string text;
  for (const SafetensorsDType& row : safetensors_dtypes) text += (text.empty() ? "" : ", ") + std::string(row.name);
  return text;
}

}  // namespace bnq::detail
