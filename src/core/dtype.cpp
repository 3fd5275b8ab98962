#include <bnq/dtype.h>

#include <algorithm>
#include <array>

namespace bnq {
namespace {

struct DTypeRow {
  DType dtype;
  std::string_view name;
  std::size_t bytes;
};

constexpr std::array<DTypeRow, 19> rows{{
    {DType::f32, "f32", 4},
    {DType::f16, "f16", 2},
    {DType::bf16, "bf16", 2},
    {DType::f64, "f64", 8},
    {DType::i8, "i8", 1},
    {DType::u8, "u8", 1},
    {DType::i16, "i16", 2},
    {DType::u16, "u16", 2},
    {DType::i32, "i32", 4},
    {DType::u32, "u32", 4},
    {DType::i64, "i64", 8},
    {DType::u64, "u64", 8},
    {DType::boolean, "bool", 1},
    {DType::f8_e4m3, "f8_e4m3", 1},
    {DType::f8_e5m2, "f8_e5m2", 1},
    {DType::f8_e8m0, "f8_e8m0", 1},
    {DType::f8_e4m3fnuz, "f8_e4m3fnuz", 1},
    {DType::f8_e5m2fnuz, "f8_e5m2fnuz", 1},
    {DType::c64, "c64", 8},
}};

static_assert(
    [] {
      for (std::size_t i = 0; i < rows.size(); ++i) {
        if (rows[i].dtype != static_cast<DType>(i)) return false;
      }
      return true;
    }(),
    "the table is indexed by the enumerator");

}  // namespace

std::size_t size_bytes(DType dtype) { return rows[static_cast<std::size_t>(dtype)].bytes; }

std::string_view name(DType dtype) { return rows[static_cast<std::size_t>(dtype)].name; }

std::optional<DType> parse_dtype(std::string_view text) {
  const auto* const row = std::find_if(rows.begin(), rows.end(), [&](const DTypeRow& r) { return r.name == text; });
  return row == rows.end() ? std::nullopt : std::optional(row->dtype);
}

bool is_quantizable(DType dtype) { return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16; }

}  // namespace bnq
