#include <bnq/tensor.h>

#include "core/checked.h"
#include "core/fail.h"
#include "core/memory/memory.h"

#include <cstring>
#include <new>
#include <optional>
#include <utility>

namespace bnq {
namespace {

std::vector<std::int64_t> row_major_strides(const Shape& shape) {
  std::vector<std::int64_t> strides(shape.size(), 1);
  for (std::size_t axis = shape.size(); axis-- > 1;) strides[axis - 1] = strides[axis] * shape[axis];
  return strides;
}

/// Axes of extent 1 are never stepped along, so their strides do not count.
bool is_row_major(const Shape& shape, const std::vector<std::int64_t>& strides) {
  std::int64_t expected = 1;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    if (shape[axis] != 1 && strides[axis] != expected) return false;
    expected *= shape[axis];
  }
  return true;
}

void require_data(const void* data, std::int64_t elements) {
  if (data != nullptr || elements == 0) return;
  detail::fail(ErrorKind::invalid_argument, {.where = "TensorView",
                                             .what = "no data",
                                             .got = "a null pointer",
                                             .need = std::to_string(elements) + " elements"});
}

/// Lowest and highest offset, in bytes, that the strides reach; nothing when one does not fit in 63 bits.
std::optional<std::pair<std::int64_t, std::int64_t>> reach_bytes(const Shape& shape,
                                                                 const std::vector<std::int64_t>& strides,
                                                                 std::int64_t element_bytes) {
  std::int64_t low = 0;
  std::int64_t high = element_bytes;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    const auto steps = detail::checked_mul(shape[axis] - 1, strides[axis]);
    const auto bytes = steps ? detail::checked_mul(*steps, element_bytes) : std::nullopt;
    if (!bytes) return std::nullopt;
    std::int64_t& end = *bytes < 0 ? low : high;
    const auto moved = detail::checked_add(end, *bytes);
    if (!moved) return std::nullopt;
    end = *moved;
  }
  return std::pair(low, high);
}

void require_addressable(const TensorView& view) {
  if (view.elements() == 0) return;
  const auto reach = reach_bytes(view.shape(), view.strides(), static_cast<std::int64_t>(size_bytes(view.dtype())));
  const auto address = reinterpret_cast<std::uintptr_t>(view.data());
  if (reach && address + static_cast<std::uintptr_t>(reach->first) <= address &&
      address + static_cast<std::uintptr_t>(reach->second) >= address) {
    return;
  }
  detail::fail(ErrorKind::invalid_argument,
               {.where = "TensorView",
                .what = "strides of shape " + to_string(view.shape()) + " reach outside the address space"});
}

std::int64_t depth_of(const Shape& shape) { return shape.empty() ? 1 : shape.back(); }

}  // namespace

std::int64_t element_count(const Shape& shape) {
  bool empty = false;
  std::int64_t count = 1;  // of the extents that are not 0, since rows() multiplies them whatever the others are
  for (const std::int64_t extent : shape) {
    if (extent < 0) {
      detail::fail(ErrorKind::invalid_argument, {.where = "shape " + to_string(shape),
                                                 .what = "an extent is negative",
                                                 .got = std::to_string(extent),
                                                 .need = "0 or more"});
    }
    empty = empty || extent == 0;
    const auto product = detail::checked_mul(count, extent == 0 ? 1 : extent);
    if (!product) {
      detail::fail(ErrorKind::invalid_argument,
                   {.where = "shape " + to_string(shape), .what = "too many elements", .need = "fewer than 2^63"});
    }
    count = *product;
  }
  return empty ? 0 : count;
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (const std::int64_t extent : shape) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(extent);
  }
  return text + "]";
}

TensorView::TensorView(const void* data, DType dtype, Shape shape)
    : data_(data), dtype_(dtype), shape_(std::move(shape)), elements_(element_count(shape_)), contiguous_(true) {
  require_data(data, elements_);
  if (elements_ > 0) strides_ = row_major_strides(shape_);
  strides_.resize(shape_.size(), 1);
  require_addressable(*this);
}

TensorView::TensorView(const void* data, DType dtype, Shape shape, std::vector<std::int64_t> strides)
    : data_(data),
      dtype_(dtype),
      shape_(std::move(shape)),
      strides_(std::move(strides)),
      elements_(element_count(shape_)),
      contiguous_(false) {
  if (strides_.size() != shape_.size()) {
    detail::fail(ErrorKind::invalid_argument, {.where = "TensorView",
                                               .what = "one stride an axis",
                                               .got = std::to_string(strides_.size()) + " strides",
                                               .need = std::to_string(shape_.size())});
  }
  require_data(data, elements_);
  contiguous_ = elements_ == 0 || is_row_major(shape_, strides_);
  require_addressable(*this);
}

std::int64_t TensorView::depth() const noexcept { return depth_of(shape_); }

std::int64_t TensorView::rows() const noexcept {
  std::int64_t rows = 1;
  for (std::size_t axis = 0; axis + 1 < shape_.size(); ++axis) rows *= shape_[axis];
  return rows;
}

MutableTensorView::MutableTensorView(void* data, DType dtype, Shape shape)
    : data_(data), dtype_(dtype), shape_(std::move(shape)), elements_(element_count(shape_)) {
  require_data(data, elements_);
}

Tensor Tensor::uninitialized(DType dtype, Shape shape) {
  Tensor tensor;
  tensor.dtype_ = dtype;
  tensor.elements_ = element_count(shape);
  tensor.shape_ = std::move(shape);
  const auto bytes = detail::checked_mul(static_cast<std::size_t>(tensor.elements_), size_bytes(dtype));
  if (!bytes) throw std::bad_alloc();
  tensor.memory_ = detail::uninitialized_memory(*bytes);
  return tensor;
}

Tensor::Tensor(DType dtype, Shape shape) : Tensor(uninitialized(dtype, std::move(shape))) {
  std::memset(memory_.get(), 0, nbytes());
}

std::size_t Tensor::nbytes() const noexcept { return static_cast<std::size_t>(elements_) * size_bytes(dtype_); }

}  // namespace bnq
