#pragma once

#include <bnq/layout.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string_view>
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

/// Bytes as they would come from a file, every scale 1 unless the bytes hold it.
inline PackedTensor packed(std::string_view name, const Scheme& scheme, const Shape& shape,
                           std::vector<std::byte> bytes) {
  const auto owner = std::make_shared<std::vector<std::byte>>(std::move(bytes));
  const Layout layout = Layout::parse(name);
  if (layout.holds_scales()) return {layout, scheme, DType::f32, shape, *owner, owner};
  Tensor scales(DType::f32, scales_shape(shape, scheme.granularity()));
  std::ranges::fill(scales.data<float>(), 1.0F);
  return {layout, scheme, DType::f32, shape, *owner, owner, std::move(scales)};
}

/// Ternary codes from a linear congruence: s = (1103515245 * s + 12345) mod 2^31 from s = 1; code = (s >> 16) mod 3
/// - 1.
inline std::vector<int> congruence_codes(std::size_t count) {
  std::vector<int> codes;
  std::uint64_t state = 1;
  while (codes.size() < count) {
    state = (1'103'515'245 * state + 12'345) % (std::uint64_t{1} << 31U);
    codes.push_back(static_cast<int>((state >> 16U) % 3) - 1);
  }
  return codes;
}

inline std::vector<int> codes_of(const QuantizedTensor& q) { return {q.codes().begin(), q.codes().end()}; }

}  // namespace bnq::test
