#pragma once

#include "support/tensors.h"

#include <bnq/tensor.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

namespace bnq::test {

/// Ways to lay the same matrix out in memory.
enum class Placement { contiguous, transposed, reversed, padded, every_third, unaligned };

inline constexpr std::array<std::pair<Placement, std::string_view>, 6> placements{{
    {Placement::contiguous, "contiguous"},
    {Placement::transposed, "transposed"},
    {Placement::reversed, "reversed"},
    {Placement::padded, "padded"},
    {Placement::every_third, "every_third"},
    {Placement::unaligned, "unaligned"},
}};

/// A copy of a float matrix [rows, depth] laid out in a given way; what lies between its elements is NaN, so that
/// reading a wrong place shows.
class StridedMatrix {
 public:
  StridedMatrix(const Tensor& matrix, Placement placement) : dtype_(matrix.dtype()), shape_(matrix.shape()) {
    const std::int64_t rows = shape_[0];
    const std::int64_t depth = shape_[1];
    const auto [row_step, column_step] = steps(placement, rows, depth);
    strides_ = {row_step, column_step};
    const bool reversed = placement == Placement::reversed;
    const std::int64_t places = rows * depth * 3 + 7 * rows + 8;
    const auto size = static_cast<std::int64_t>(size_bytes(dtype_));
    memory_.resize(static_cast<std::size_t>(places * size + 1));
    std::byte* const start = memory_.data() + (placement == Placement::unaligned ? 1 : 0);
    store(std::vector<float>(static_cast<std::size_t>(places), std::numeric_limits<float>::quiet_NaN()), dtype_, start);
    first_ = start + (reversed ? rows * depth - 1 : 0) * size;
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t c = 0; c < depth; ++c) {
        std::memcpy(first_ + (r * row_step + c * column_step) * size, matrix.bytes().data() + (r * depth + c) * size,
                    static_cast<std::size_t>(size));
      }
    }
  }
  StridedMatrix(const StridedMatrix&) = delete;
  StridedMatrix& operator=(const StridedMatrix&) = delete;

  [[nodiscard]] TensorView view() const { return {first_, dtype_, shape_, strides_}; }

 private:
  static std::pair<std::int64_t, std::int64_t> steps(Placement placement, std::int64_t rows, std::int64_t depth) {
    switch (placement) {
      case Placement::transposed:
        return {1, rows};
      case Placement::reversed:
        return {-depth, -1};
      case Placement::padded:
        return {depth + 5, 1};
      case Placement::every_third:
        return {3 * depth, 3};
      case Placement::contiguous:
      case Placement::unaligned:
        break;
    }
    return {depth, 1};
  }

  DType dtype_;
  Shape shape_;
  std::vector<std::int64_t> strides_;
  std::vector<std::byte> memory_;
  std::byte* first_ = nullptr;
};

}  // namespace bnq::test
