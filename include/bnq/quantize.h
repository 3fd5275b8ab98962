#pragma once

#include <bnq/export.h>
#include <bnq/quantized_tensor.h>
#include <bnq/scheme.h>
#include <bnq/tensor.h>

#include <cstdint>

namespace bnq {

/// Tensor to codes and scales, by the scheme's formula (docs/schemes.rst). The result is the same on every CPU, for
/// every thread count, and whatever the caller's floating-point control state.
///
/// Throws `unsupported` unless the dtype is f32, f16 or bf16; `bad_content` naming the first NaN or infinity.
[[nodiscard]] BNQ_EXPORT QuantizedTensor quantize(const TensorView& values, const Scheme& scheme);

/// Activations [M, K] (any rank; tokens along the last axis) to int8, one scale a token: BitNet b1.58's rule.
/// The same as `quantize(x, Scheme::activations())`.
[[nodiscard]] BNQ_EXPORT QuantizedTensor quantize_activations(const TensorView& x);

/// code * scale in float32, then one rounding to `dtype` (f32, f16 or bf16). Values past the largest finite number of
/// `dtype` become that number.
[[nodiscard]] BNQ_EXPORT Tensor dequantize(const QuantizedTensor& q, DType dtype);

/// The same, to the dtype the tensor was quantized from.
[[nodiscard]] BNQ_EXPORT Tensor dequantize(const QuantizedTensor& q);

/// The same into the caller's memory. Returns how many values were held at the largest finite number.
/// Throws `invalid_argument` when the shape of `out` is not that of `q`, `unsupported` for another dtype.
BNQ_EXPORT std::int64_t dequantize_into(const QuantizedTensor& q, const MutableTensorView& out);

}  // namespace bnq
