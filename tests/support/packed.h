#pragma once

#include <bnq/layout.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace bnq::test {

/// Codes as they are, every scale the same.
inline QuantizedTensor quantized(const Scheme& scheme, const Shape& shape, const std::vector<int>& codes,
                                 float scale = 1) {
  Tensor code_tensor(DType::i8, shape);
  std::ranges::transform(codes, code_tensor.data<std::int8_t>().begin(),
                         [](int code) { return static_cast<std::int8_t>(code); });
  Tensor scales(DType::f32, scales_shape(shape, scheme.granularity()));
  std::ranges::fill(scales.data<float>(), scale);
  return {scheme, DType::f32, shape, std::move(code_tensor), std::move(scales)};
}

/// Bytes as they would come from a file, every scale 1.
inline PackedTensor packed(const char* layout, const Scheme& scheme, const Shape& shape, std::vector<std::byte> bytes) {
  Tensor scales(DType::f32, scales_shape(shape, scheme.granularity()));
  std::ranges::fill(scales.data<float>(), 1.0F);
  const auto owner = std::make_shared<std::vector<std::byte>>(std::move(bytes));
  return {Layout::parse(layout), scheme, DType::f32, shape, *owner, owner, std::move(scales)};
}

inline std::vector<int> codes_of(const QuantizedTensor& q) { return {q.codes().begin(), q.codes().end()}; }

}  // namespace bnq::test
