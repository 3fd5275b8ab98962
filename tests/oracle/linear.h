#pragma once

#include "schemes.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace oracle {

/// Weights [outputs, depth], with the granules that share a scale.
struct Weights {
  Quantized quantized;
  std::size_t outputs = 0;
  std::size_t depth = 0;
  std::string granularity;  ///< "tensor", "row" or "group"
  std::size_t group_size = 0;
};

/// One output of one token, before the activation scale: the product of docs/schemes.rst.
inline float scaled_sum(const Weights& w, const std::vector<int>& codes, std::size_t output) {
  const std::size_t group = w.granularity == "group" ? w.group_size : w.depth;
  const std::size_t groups = w.depth == 0 ? 0 : (w.depth + group - 1) / group;
  float sum = 0;
  for (std::size_t g = 0; g < groups; ++g) {
    std::int64_t acc = 0;
    for (std::size_t k = g * group; k < std::min((g + 1) * group, w.depth); ++k) {
      acc += std::int64_t{codes[k]} * w.quantized.codes[output * w.depth + k];
    }
    const std::size_t scale = w.granularity == "tensor" ? 0 : output * groups + g;
    const float term = static_cast<float>(acc) * w.quantized.scales[scale];
    sum = g == 0 ? term : sum + term;
  }
  return sum;
}

/// y = x Wᵀ + bias in float32; `x` is one token, `bias` is empty or one number an output. Every NaN is the quiet one.
inline std::vector<float> linear(const Weights& w, const std::vector<float>& x, const std::vector<float>& bias) {
  bool finite = true;
  for (const float value : x) finite = finite && std::isfinite(value);
  std::vector<float> y;
  const Granule activations = finite ? token(x) : Granule{};
  for (std::size_t n = 0; n < w.outputs; ++n) {
    if (!finite) {
      y.push_back(std::numeric_limits<float>::quiet_NaN());
      continue;
    }
    const float product = scaled_sum(w, activations.codes, n) * activations.scale;
    y.push_back(bias.empty() ? product : product + bias[n]);
  }
  return y;
}

}  // namespace oracle
