#pragma once

#include <bnq/layout.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace bnq::detail {

/// The codes of a tensor as [rows, depth], row-major.
template <typename Code>
struct CodeMatrix {
  std::span<Code> codes;
  std::int64_t rows;
  std::int64_t depth;
  int code_bits;  ///< of the scheme

  [[nodiscard]] std::span<Code> row(std::int64_t r) const {
    return codes.subspan(static_cast<std::size_t>(r * depth), static_cast<std::size_t>(depth));
  }
};

/// One layout: its name, what it cannot hold, and its two directions. The table stands in layout.cpp.
struct LayoutRow {
  std::string_view name;
  std::string_view about;
  /// Behind a tensor's name in a file, for its codes. A layout with one does not show the tensor's shape, so the file
  /// states it beside them (docs/formats/safetensors.rst).
  std::string_view file_suffix;
  DType storage_dtype;
  /// Empty, or why a tensor of this scheme and shape does not fit.
  std::string (*refusal)(const Scheme& scheme, const Shape& shape);
  Shape (*storage_shape)(const Scheme& scheme, const Shape& shape);
  void (*pack)(const CodeMatrix<const std::int8_t>& codes, std::span<std::byte> data);
  /// Never reads a code that is none of the scheme's as another: the caller checks them.
  void (*unpack)(std::span<const std::byte> data, const CodeMatrix<std::int8_t>& codes);
  /// Does every code belong to the scheme? Null where no kernel reads the layout in place: there `unpack` is asked.
  bool (*has_codes_of)(const Scheme& scheme, std::span<const std::byte> data) = nullptr;
};

// One file each.
extern const LayoutRow layout_i8;
extern const LayoutRow layout_i32_ct;
extern const LayoutRow layout_u2_hf;
extern const LayoutRow layout_u1;

}  // namespace bnq::detail
