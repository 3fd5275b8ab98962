#pragma once

#include <bnq/layout.h>
#include <bnq/quantized_tensor.h>

#include "kernels/kernel.h"

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace bnq::detail {

/// Weights in the order of a kernel, made once when a layer is. kernels/kernel.h draws the orders.
class Tile {
 public:
  /// Codes regrouped. `weight` is [N, K]; `bias` has N elements or none.
  Tile(const TileForm& form, const QuantizedTensor& weight, std::span<const float> bias);

  /// Codes where they lie: the form's layout is that of `weight`, whose bytes are shared and not copied.
  /// Throws `bad_content` when they hold a code that the scheme does not have.
  Tile(const TileForm& form, const PackedTensor& weight, std::span<const float> bias);

  [[nodiscard]] const TileView& view() const noexcept { return view_; }
  [[nodiscard]] std::int64_t panels() const noexcept { return panels_; }
  [[nodiscard]] std::int64_t depth() const noexcept { return depth_; }
  [[nodiscard]] std::int64_t group_size() const noexcept { return group_size_; }

  /// Bytes of all that a kernel reads, and those of them that are the tile's own.
  [[nodiscard]] std::size_t nbytes() const noexcept { return shared_bytes_ + own_nbytes(); }
  [[nodiscard]] std::size_t own_nbytes() const noexcept {
    return code_bytes_ + scales_.size() * sizeof(float) + sums_.size() * sizeof(std::int32_t) +
           bias_.size() * sizeof(float);
  }

  /// Codes a token takes: groups with their padding.
  [[nodiscard]] std::int64_t padded_depth() const noexcept { return view_.groups * view_.group_stride; }

 private:
  /// What both constructors begin with: sizes, and no codes.
  Tile(const TileForm& form, const Scheme& scheme, const Shape& shape);

  void place_codes(const TileForm& form, const QuantizedTensor& weight);
  void sum_rows(const TileForm& form);
  void place_scales(const TileForm& form, std::span<const float> scales, std::span<const float> bias);

  std::int64_t depth_;
  std::int64_t group_size_;
  std::int64_t panels_;
  std::size_t code_bytes_ = 0;
  std::size_t shared_bytes_ = 0;
  std::shared_ptr<const void> codes_;  ///< keeps them: the tile's own, or the packed tensor's
  std::vector<float> scales_;
  std::vector<std::int32_t> sums_;
  std::vector<float> bias_;
  TileView view_{};
};

}  // namespace bnq::detail
