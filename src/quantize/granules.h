#pragma once

#include <bnq/quantized_tensor.h>

#include "core/checked.h"

#include <algorithm>
#include <cstdint>

namespace bnq::detail {

/// The granules of a tensor: neighbouring ranges of its elements in row-major order, which together are all of them.
class Granules {
 public:
  Granules(const Shape& shape, const Granularity& granularity)
      : elements_(element_count(shape)), count_(granule_count(shape, granularity)) {
    const std::int64_t depth = shape.empty() ? 1 : shape.back();
    line_ = granularity.kind == Granularity::Kind::tensor ? elements_ : depth;
    step_ = granularity.kind == Granularity::Kind::group ? granularity.group_size : line_;
    a_line_ = line_ == 0 ? 0 : ceil_div(line_, step_);
  }

  [[nodiscard]] std::int64_t count() const { return count_; }

  /// First element of granule i, counted in row-major order.
  [[nodiscard]] std::int64_t begin(std::int64_t i) const { return i / a_line_ * line_ + i % a_line_ * step_; }

  /// Elements of granule i.
  [[nodiscard]] std::int64_t size(std::int64_t i) const { return std::min(step_, line_ - i % a_line_ * step_); }

  /// The granule of element `flat`.
  [[nodiscard]] std::int64_t of(std::int64_t flat) const { return flat / line_ * a_line_ + flat % line_ / step_; }

  /// Granules that make a part of work worth a thread.
  [[nodiscard]] std::int64_t grain() const {
    constexpr std::int64_t elems_a_thread = 1 << 16;
    const std::int64_t elems = std::min(step_, line_);  // 0 when the tensor has no elements
    return elems == 0 ? 1 : std::max<std::int64_t>(1, elems_a_thread / elems);
  }

 private:
  std::int64_t elements_;
  std::int64_t count_;
  std::int64_t line_;    ///< elements after which the pattern of granules starts anew: a row, or the tensor
  std::int64_t step_;    ///< elements of every granule but a line's last
  std::int64_t a_line_;  ///< granules a line
};

}  // namespace bnq::detail
