#pragma once

#include <bnq/tensor.h>

#include <cstdint>
#include <span>
#include <string>

namespace bnq::detail {

/// Elements [begin, begin + out.size()) of `view` in row-major order, whatever its strides, widened to float32 exactly.
/// The dtype must be quantizable.
void read_elements(const TensorView& view, std::int64_t begin, std::span<float> out);

/// Rounds once, half to even, as IEEE 754 does. Every NaN becomes the quiet NaN of `dtype`, positive, payload zero.
/// `out` takes elements of `dtype` (f32, f16 or bf16).
void write_elements(std::span<const float> values, DType dtype, void* out);

/// Largest finite number of f32, f16 or bf16.
[[nodiscard]] float largest_finite(DType dtype);

/// "[3, 0, 17]": where element `flat` (row-major) stands in a tensor of this shape; "[]" for a 0-d tensor.
[[nodiscard]] std::string index_text(const Shape& shape, std::int64_t flat);

/// Throws `unsupported` with a cure unless the dtype is f32, f16 or bf16.
void require_quantizable(const char* where, DType dtype);

}  // namespace bnq::detail
