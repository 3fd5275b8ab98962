#pragma once

#include <bnq/dtype.h>
#include <bnq/export.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace bnq {

// Legend used everywhere: M rows of activations (tokens), N outputs, K depth. Weights are [N, K], as in nn.Linear.
// A shape of any rank is read as [rows, depth]: depth is the last axis, rows the product of the others.
// A 1-d tensor is one row; a 0-d tensor is one row of one element.

/// Extents, outermost first. All are >= 0 and their product fits in 63 bits.
using Shape = std::vector<std::int64_t>;

/// Number of elements. Throws `invalid_argument` when an extent is negative or the product overflows.
[[nodiscard]] BNQ_EXPORT std::int64_t element_count(const Shape& shape);

/// "[256, 512]"
[[nodiscard]] BNQ_EXPORT std::string to_string(const Shape& shape);

/// Somebody else's elements: a pointer, a dtype, a shape, and strides counted in elements.
///
/// Strides may be zero (expanded) or negative (reversed); `data` points at element [0, 0, …].
/// The view owns nothing: the memory must outlive it.
class BNQ_EXPORT TensorView {
 public:
  /// Row-major, without gaps. Throws `invalid_argument` for a bad shape, or for null data with elements.
  TensorView(const void* data, DType dtype, Shape shape);

  /// With strides in elements, one an axis. Throws `invalid_argument` also when their number is not the rank,
  /// or when an element would lie outside the address space.
  TensorView(const void* data, DType dtype, Shape shape, std::vector<std::int64_t> strides);

  [[nodiscard]] const void* data() const noexcept { return data_; }
  [[nodiscard]] DType dtype() const noexcept { return dtype_; }
  [[nodiscard]] const Shape& shape() const noexcept { return shape_; }
  [[nodiscard]] const std::vector<std::int64_t>& strides() const noexcept { return strides_; }
  [[nodiscard]] std::int64_t elements() const noexcept { return elements_; }
  [[nodiscard]] std::int64_t rows() const noexcept;   ///< product of all axes but the last
  [[nodiscard]] std::int64_t depth() const noexcept;  ///< the last axis; 1 for a 0-d tensor
  [[nodiscard]] bool contiguous() const noexcept { return contiguous_; }

 private:
  const void* data_;
  DType dtype_;
  Shape shape_;
  std::vector<std::int64_t> strides_;
  std::int64_t elements_;
  bool contiguous_;
};

/// A place to write: row-major, without gaps. Borrowed like a TensorView.
class BNQ_EXPORT MutableTensorView {
 public:
  /// Throws `invalid_argument` for a bad shape, or for null data with elements.
  MutableTensorView(void* data, DType dtype, Shape shape);

  [[nodiscard]] void* data() const noexcept { return data_; }
  [[nodiscard]] DType dtype() const noexcept { return dtype_; }
  [[nodiscard]] const Shape& shape() const noexcept { return shape_; }
  [[nodiscard]] std::int64_t elements() const noexcept { return elements_; }

 private:
  void* data_;
  DType dtype_;
  Shape shape_;
  std::int64_t elements_;
};

/// Elements of its own: zeroed, aligned to 64 bytes, row-major, without gaps. Copies share the memory, which is
/// never written through a shared handle: call `data<T>()` on a tensor that you made.
class BNQ_EXPORT Tensor {
 public:
  /// Throws `invalid_argument` for a bad shape, std::bad_alloc when there is no memory.
  Tensor(DType dtype, Shape shape);

  /// The same, with elements that have no values yet: for one who writes them all.
  [[nodiscard]] static Tensor uninitialized(DType dtype, Shape shape);

  [[nodiscard]] DType dtype() const noexcept { return dtype_; }
  [[nodiscard]] const Shape& shape() const noexcept { return shape_; }
  [[nodiscard]] std::int64_t elements() const noexcept { return elements_; }
  [[nodiscard]] std::size_t nbytes() const noexcept;

  [[nodiscard]] std::span<std::byte> bytes() noexcept { return {memory_.get(), nbytes()}; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {memory_.get(), nbytes()}; }

  /// The elements as T. sizeof(T) must be the dtype's size; a 16-bit float is read as std::uint16_t.
  template <typename T>
  [[nodiscard]] std::span<T> data() noexcept {
    return {reinterpret_cast<T*>(memory_.get()), static_cast<std::size_t>(elements_)};
  }
  template <typename T>
  [[nodiscard]] std::span<const T> data() const noexcept {
    return {reinterpret_cast<const T*>(memory_.get()), static_cast<std::size_t>(elements_)};
  }

  [[nodiscard]] TensorView view() const& { return {memory_.get(), dtype_, shape_}; }
  TensorView view() const&& = delete;  // it would outlive its memory
  [[nodiscard]] MutableTensorView mutable_view() & { return {memory_.get(), dtype_, shape_}; }

 private:
  Tensor() = default;

  DType dtype_ = DType::u8;
  Shape shape_;
  std::int64_t elements_ = 0;
  std::shared_ptr<std::byte> memory_;
};

}  // namespace bnq
