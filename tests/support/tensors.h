#pragma once

#include "oracle/float16.h"

#include <bnq/tensor.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

namespace bnq::test {

inline constexpr std::array<DType, 3> float_dtypes{DType::f32, DType::f16, DType::bf16};

/// Writes `values` as elements of `dtype` (f32, f16 or bf16), rounded by the oracle, at any alignment.
inline void store(std::span<const float> values, DType dtype, std::byte* out) {
  const oracle::FloatFormat format = oracle::format_called(std::string(name(dtype)));
  for (const float value : values) {
    const std::uint32_t wide =
        dtype == DType::f32 ? oracle::f32_bits(value) : oracle::bits_of(format, static_cast<double>(value));
    const auto narrow = static_cast<std::uint16_t>(wide);
    if (dtype == DType::f32) {
      std::memcpy(out, &wide, sizeof wide);
    } else {
      std::memcpy(out, &narrow, sizeof narrow);
    }
    out += size_bytes(dtype);
  }
}

/// A tensor of f32, f16 or bf16 that holds `values`, rounded once.
inline Tensor make_tensor(DType dtype, const Shape& shape, std::span<const float> values) {
  Tensor tensor(dtype, shape);
  store(values, dtype, tensor.bytes().data());
  return tensor;
}

inline Tensor make_tensor(DType dtype, const Shape& shape, std::initializer_list<float> values) {
  return make_tensor(dtype, shape, std::vector<float>(values));
}

/// A tensor of one dimension.
inline Tensor make_tensor(std::initializer_list<float> values) {
  return make_tensor(DType::f32, {static_cast<std::int64_t>(values.size())}, values);
}

/// `count` elements of `dtype` at `data`, as floats, by the oracle.
inline std::vector<float> load(DType dtype, const std::byte* data, std::size_t count) {
  const oracle::FloatFormat format = oracle::format_called(std::string(name(dtype)));
  std::vector<float> values;
  values.reserve(count);
  for (std::size_t i = 0; i < count; ++i, data += size_bytes(dtype)) {
    std::uint32_t wide = 0;
    std::uint16_t narrow = 0;
    if (dtype == DType::f32) {
      std::memcpy(&wide, data, sizeof wide);
      values.push_back(oracle::f32_from_bits(wide));
    } else {
      std::memcpy(&narrow, data, sizeof narrow);
      values.push_back(static_cast<float>(oracle::value_of(format, narrow)));
    }
  }
  return values;
}

/// The elements of a float tensor, widened.
inline std::vector<float> floats_of(const Tensor& tensor) {
  return load(tensor.dtype(), tensor.bytes().data(), static_cast<std::size_t>(tensor.elements()));
}

/// Are the bytes the same? -0 differs from 0, and a NaN equals itself.
inline bool same_bytes(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

inline std::vector<std::uint32_t> bits_of_floats(std::span<const float> values) {
  std::vector<std::uint32_t> bits;
  bits.reserve(values.size());
  for (const float value : values) bits.push_back(oracle::f32_bits(value));
  return bits;
}

}  // namespace bnq::test
