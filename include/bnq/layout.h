#pragma once

#include <bnq/export.h>
#include <bnq/quantized_tensor.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bnq {

namespace detail {
struct LayoutRow;
}

/// Bytes: how codes lie in memory or in a file. The same on every CPU. docs/formats has a byte picture of each.
class BNQ_EXPORT Layout {
 public:
  /// The layout called `name`. Throws `invalid_argument` with the list of names.
  [[nodiscard]] static Layout parse(std::string_view name);

  /// Every layout: first those that `pack` chooses from, smallest codes first, then those of other programs' files,
  /// which are taken when they are named.
  [[nodiscard]] static std::vector<Layout> all();

  [[nodiscard]] std::string_view name() const;
  [[nodiscard]] std::string_view about() const;  ///< one line for people

  /// Are the scales among the codes, in the layout's bytes? Otherwise they are float32 numbers beside them.
  [[nodiscard]] bool holds_scales() const noexcept;
  /// Is this an order that some files have and bnq reads, but writes in another?
  [[nodiscard]] bool is_read_only() const noexcept;

  /// Empty when this layout can hold a tensor of this scheme and shape; otherwise why it cannot.
  [[nodiscard]] std::string refusal(const Scheme& scheme, const Shape& shape) const;

  /// Element type and shape of the code array in a file, e.g. U8 [N/4, K]. The layout must hold the tensor.
  [[nodiscard]] DType storage_dtype() const;
  [[nodiscard]] Shape storage_shape(const Scheme& scheme, const Shape& shape) const;
  [[nodiscard]] std::size_t storage_bytes(const Scheme& scheme, const Shape& shape) const;

  friend bool operator==(const Layout&, const Layout&) = default;

  /// The table row behind this layout; for the library's own use.
  [[nodiscard]] const detail::LayoutRow& row() const noexcept { return *row_; }

 private:
  explicit Layout(const detail::LayoutRow* row) : row_(row) {}

  const detail::LayoutRow* row_;
};

/// Bytes that say what they are: layout, scheme, shape, and the float32 scales beside them, unless the layout holds
/// them among its codes. Copies share the bytes.
class BNQ_EXPORT PackedTensor {
 public:
  /// `data` are the layout's bytes, kept alive by `owner` (a buffer or a file mapping; null: they outlive the tensor,
  /// its copies, and each Linear made of it).
  /// Throws `unsupported` when the layout cannot hold the tensor, `invalid_argument` when sizes disagree or a scale is
  /// negative, NaN or infinite. Codes are checked by `unpack`.
  PackedTensor(Layout layout, Scheme scheme, DType dtype, Shape shape, std::span<const std::byte> data,
               std::shared_ptr<const void> owner, Tensor scales);

  /// The same for a layout that holds its scales: they are looked at by `unpack`, as codes are.
  PackedTensor(Layout layout, Scheme scheme, DType dtype, Shape shape, std::span<const std::byte> data,
               std::shared_ptr<const void> owner);

  [[nodiscard]] const Layout& layout() const noexcept { return layout_; }
  [[nodiscard]] const Scheme& scheme() const noexcept { return scheme_; }
  [[nodiscard]] DType dtype() const noexcept { return dtype_; }
  [[nodiscard]] const Shape& shape() const noexcept { return shape_; }
  [[nodiscard]] std::span<const std::byte> data() const noexcept { return data_; }
  /// What keeps `data()`; null where the caller does.
  [[nodiscard]] const std::shared_ptr<const void>& owner() const noexcept { return owner_; }
  /// Empty when the layout holds them: `unpack(p).scales()` has them.
  [[nodiscard]] std::span<const float> scales() const noexcept { return scales_.data<float>(); }
  /// How far a layout that holds its scales moved them when this was packed: the largest |stored - scale| / scale of
  /// scales that count (of codes that are not all 0). 0 when they are exact, and of bytes that came from elsewhere.
  [[nodiscard]] double scale_error() const noexcept { return scale_error_; }
  [[nodiscard]] std::size_t nbytes() const noexcept { return data_.size() + scales_.nbytes(); }
  [[nodiscard]] double bits_per_weight() const noexcept;  ///< true bits: padding and scales counted

 private:
  friend BNQ_EXPORT PackedTensor pack(const QuantizedTensor& q, const Layout& layout);

  /// Throws unless layout, scheme, dtype, shape and bytes fit; its place in messages.
  [[nodiscard]] std::string require_bytes() const;

  Layout layout_;
  Scheme scheme_;
  DType dtype_;
  Shape shape_;
  std::span<const std::byte> data_;
  std::shared_ptr<const void> owner_;
  Tensor scales_;
  double scale_error_ = 0;
};

/// Codes to bytes. A layout that holds its scales rounds them to its own dtype; `PackedTensor::scale_error` says how
/// far. Throws `unsupported`, naming the layouts that could hold what this one cannot, or the first scale that has no
/// place.
[[nodiscard]] BNQ_EXPORT PackedTensor pack(const QuantizedTensor& q, const Layout& layout);

/// Into the first layout of the table that holds it, which is the smallest.
[[nodiscard]] BNQ_EXPORT PackedTensor pack(const QuantizedTensor& q);

/// Bytes to codes: `unpack(pack(q))` has the codes and scales of `q`, those scales rounded that a layout holds rounded.
/// Throws `bad_content` when the bytes hold a code that the scheme does not have, no scale where one should be, or
/// several where the scheme has one.
[[nodiscard]] BNQ_EXPORT QuantizedTensor unpack(const PackedTensor& p);

}  // namespace bnq
