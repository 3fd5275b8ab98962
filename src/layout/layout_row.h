#pragma once

#include <bnq/layout.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace bnq::detail {

/// The codes of a tensor as [rows, depth], row-major.
template <typename Code>
struct CodeMatrix {
  using Scale = std::conditional_t<std::is_const_v<Code>, const float, float>;

  std::span<Code> codes;
  std::int64_t rows;
  std::int64_t depth;
  int code_bits;                   ///< of the scheme
  std::span<Scale> held_scales{};  ///< those that the layout keeps among the codes, one a cell; else empty

  [[nodiscard]] std::span<Code> row(std::int64_t r) const {
    return codes.subspan(static_cast<std::size_t>(r * depth), static_cast<std::size_t>(depth));
  }
};

/// Scales that lie among the codes. A cell is what shares one: the whole tensor, a row, or a block, which is a group.
/// Cells are whole: a depth that is no multiple of a group is refused.
struct HeldScales {
  Granularity cell;
  DType dtype;  ///< as stored: f32 or f16
};

/// What a GGUF file needs to know of a layout that has a type in ggml.
struct GgmlType {
  int id;
  std::int64_t block_elems;  ///< the depth is a multiple of it
  std::int64_t block_bytes;  ///< without what a layout puts before a row (iq2_bn) or behind the tensor (i2_s)
  std::string_view scheme;   ///< reads every tensor of this type
};

/// One layout: its name, what it cannot hold, and its two directions. The table stands in layout.cpp.
struct LayoutRow {
  std::string_view name;
  std::string_view about;
  /// Behind a tensor's name in bnq's files, for its codes; without it they have no such layout. One that is not empty
  /// does not show the tensor's shape, so the file states it beside them (docs/formats/safetensors.rst).
  std::optional<std::string_view> file_suffix = {};
  DType storage_dtype;
  /// Empty, or why a tensor of this scheme and shape does not fit.
  std::string (*refusal)(const Scheme& scheme, const Shape& shape);
  Shape (*storage_shape)(const Scheme& scheme, const Shape& shape);
  /// Are its bytes the codes as a QuantizedTensor holds them? Then nothing need be packed to be written.
  bool bytes_are_codes = false;
  /// Null in a layout that is read and not written.
  void (*pack)(const CodeMatrix<const std::int8_t>& codes, std::span<std::byte> data);
  /// Never reads a code that is none of the scheme's as another: the caller checks them.
  void (*unpack)(std::span<const std::byte> data, const CodeMatrix<std::int8_t>& codes);
  /// Does every code belong to the scheme? Null where no kernel reads the layout in place: there `unpack` is asked.
  bool (*has_codes_of)(const Scheme& scheme, std::span<const std::byte> data) = nullptr;
  /// Scales among the codes; without it they lie beside them.
  std::optional<HeldScales> held_scales = {};
  /// Index of the first code that does not fit, or -1; for layouts that `refusal` lets hold a wider scheme.
  std::int64_t (*first_misfit)(std::span<const std::int8_t> codes) = nullptr;
  std::optional<GgmlType> ggml = {};
};

/// "i8, u2_hf": names of the layouts that `is_wanted`, in the order of the table.
template <typename Predicate>
std::string layout_names(const Predicate& is_wanted) {
  std::string text;
  for (const Layout& layout : Layout::all()) {
    if (is_wanted(layout)) text += (text.empty() ? "" : ", ") + std::string(layout.name());
  }
  return text;
}

// One file each.
extern const LayoutRow layout_i8;
extern const LayoutRow layout_i32_ct;
extern const LayoutRow layout_u2_hf;
extern const LayoutRow layout_u1;
extern const LayoutRow layout_tq1_0;
extern const LayoutRow layout_tq2_0;
extern const LayoutRow layout_q2_0;
extern const LayoutRow layout_q4_0;
extern const LayoutRow layout_q8_0;
extern const LayoutRow layout_iq2_bn;
extern const LayoutRow layout_i2_s;
extern const LayoutRow layout_i2_s_arm;
extern const LayoutRow layout_i2_s_1x4;
extern const LayoutRow layout_u2_ort;
extern const LayoutRow layout_u4_ort;
extern const LayoutRow layout_u8_ort;

}  // namespace bnq::detail
