#pragma once

#include <bnq/export.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace bnq {

/// Element types. bnq computes on `f32`, `f16` and `bf16`; the others are carried through files untouched.
enum class DType : std::uint8_t {
  f32,
  f16,
  bf16,
  f64,
  i8,
  u8,
  i16,
  u16,
  i32,
  u32,
  i64,
  u64,
  boolean,
  f8_e4m3,
  f8_e5m2,
  f8_e8m0,
  f8_e4m3fnuz,
  f8_e5m2fnuz,
  c64,
};

/// Bytes of one element.
[[nodiscard]] BNQ_EXPORT std::size_t size_bytes(DType dtype);

/// The lower-case name used in messages, on the command line and in Python: "f32", "bf16", …
[[nodiscard]] BNQ_EXPORT std::string_view name(DType dtype);

/// The dtype called `text`, or nothing.
[[nodiscard]] BNQ_EXPORT std::optional<DType> parse_dtype(std::string_view text);

/// True for f32, f16 and bf16: every value widens to float32 exactly, so bnq can quantize it.
[[nodiscard]] BNQ_EXPORT bool is_quantizable(DType dtype);

}  // namespace bnq
