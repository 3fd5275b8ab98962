#pragma once

// Between bnq's types and the oracle, which knows none of them.

#include "oracle/layouts.h"
#include "oracle/linear.h"
#include "oracle/schemes.h"
#include "support/tensors.h"

#include <bnq/layout.h>
#include <bnq/quantize.h>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace bnq::test {

inline std::string kind_of(const Granularity& granularity) {
  if (granularity.kind == Granularity::Kind::tensor) return "tensor";
  return granularity.kind == Granularity::Kind::row ? "row" : "group";
}

inline std::vector<std::vector<std::size_t>> oracle_granules(const Shape& shape, const Granularity& granularity) {
  const std::size_t depth = shape.empty() ? 1 : static_cast<std::size_t>(shape.back());
  std::size_t rows = 1;
  for (std::size_t axis = 0; axis + 1 < shape.size(); ++axis) rows *= static_cast<std::size_t>(shape[axis]);
  return oracle::granules(rows, depth, kind_of(granularity), static_cast<std::size_t>(granularity.group_size));
}

/// `values` are the elements as the library reads them: already rounded to the tensor's dtype.
inline oracle::Quantized oracle_quantize(const std::vector<float>& values, const Shape& shape, const Scheme& scheme) {
  return oracle::quantize(std::string(scheme.rule()), oracle_granules(shape, scheme.granularity()), values);
}

inline oracle::Quantized as_oracle(const QuantizedTensor& q) {
  oracle::Quantized o;
  o.codes.assign(q.codes().begin(), q.codes().end());
  o.scales.assign(q.scales().begin(), q.scales().end());
  o.floored = q.counts().floored_granules;
  o.prequantized = q.counts().prequantized_granules;
  return o;
}

inline oracle::CodeTable code_table(const QuantizedTensor& q) {
  std::vector<float> scales(static_cast<std::size_t>(q.elements()));
  const auto granules = oracle_granules(q.shape(), q.scheme().granularity());
  for (std::size_t g = 0; g < granules.size(); ++g) {
    for (const std::size_t i : granules[g]) scales[i] = q.scales()[g];
  }
  return {.codes = {q.codes().begin(), q.codes().end()},
          .rows = q.elements() == 0 ? 0 : static_cast<std::size_t>(q.rows()),
          .depth = static_cast<std::size_t>(q.depth()),
          .bits = q.scheme().code_bits(),
          .group = static_cast<std::size_t>(q.scheme().granularity().group_size),
          .scales = scales};
}

/// Equal codes, equal bits of every scale, equal counts?
inline ::testing::AssertionResult same(const oracle::Quantized& got, const oracle::Quantized& want) {
  if (got.codes.size() != want.codes.size()) {
    return ::testing::AssertionFailure() << got.codes.size() << " codes, expected " << want.codes.size();
  }
  if (got.scales.size() != want.scales.size()) {
    return ::testing::AssertionFailure() << got.scales.size() << " scales, expected " << want.scales.size();
  }
  for (std::size_t i = 0; i < got.scales.size(); ++i) {
    if (oracle::f32_bits(got.scales[i]) == oracle::f32_bits(want.scales[i])) continue;
    return ::testing::AssertionFailure() << std::hexfloat << "scale " << i << " is " << got.scales[i] << ", expected "
                                         << want.scales[i];
  }
  for (std::size_t i = 0; i < got.codes.size(); ++i) {
    if (got.codes[i] == want.codes[i]) continue;
    return ::testing::AssertionFailure() << "code " << i << " is " << got.codes[i] << ", expected " << want.codes[i];
  }
  if (got.floored != want.floored || got.prequantized != want.prequantized) {
    return ::testing::AssertionFailure() << "floored " << got.floored << " and prequantized " << got.prequantized
                                         << ", expected " << want.floored << " and " << want.prequantized;
  }
  return ::testing::AssertionSuccess();
}

inline ::testing::AssertionResult same(const QuantizedTensor& got, const oracle::Quantized& want) {
  return same(as_oracle(got), want);
}

/// Codes and scales; how they came about does not count.
inline ::testing::AssertionResult same_values(const QuantizedTensor& got, const QuantizedTensor& want) {
  oracle::Quantized a = as_oracle(got);
  const oracle::Quantized b = as_oracle(want);
  a.floored = b.floored;
  a.prequantized = b.prequantized;
  return same(a, b);
}

}  // namespace bnq::test
