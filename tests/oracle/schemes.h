#pragma once

#include "float16.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

// The schemes as their papers write them, one granule at a time. Slow and obvious on purpose.

namespace oracle {

/// Element numbers of each granule of a [rows, depth] matrix. `kind` is "tensor", "row" or "group", of `n` elements.
inline std::vector<std::vector<std::size_t>> granules(std::size_t rows, std::size_t depth, const std::string& kind,
                                                      std::size_t n = 0) {
  std::vector<std::vector<std::size_t>> all;
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < depth; ++c) {
      const bool opens = kind == "tensor" ? r + c == 0 : kind == "row" ? c == 0 : c % n == 0;
      if (opens) all.emplace_back();
      all.back().push_back(r * depth + c);
    }
  }
  return all;
}

/// A float64 sum in the written order: blocks of 4096; in a block 16 lanes by index mod 16; lane i adds lane i + 8,
/// then i + 4, i + 2, i + 1; blocks added in order. Then one division and one rounding.
inline float mean(const std::vector<double>& values) {
  double total = 0;
  for (std::size_t begin = 0; begin < values.size(); begin += 4096) {
    double lane[16] = {};
    for (std::size_t i = begin; i < std::min(begin + 4096, values.size()); ++i) lane[(i - begin) % 16] += values[i];
    for (int i = 0; i < 8; ++i) lane[i] += lane[i + 8];
    for (int i = 0; i < 4; ++i) lane[i] += lane[i + 4];
    for (int i = 0; i < 2; ++i) lane[i] += lane[i + 2];
    total += lane[0] + lane[1];
  }
  return static_cast<float>(total / static_cast<double>(values.size()));
}

inline int clamped(double value, int low, int high) {
  return value < low ? low : value > high ? high : static_cast<int>(value);
}

/// One granule.
struct Granule {
  std::vector<int> codes;
  float scale = 0;
  bool floored = false;
  bool prequantized = false;
};

inline float largest_magnitude(const std::vector<float>& w) {
  float largest = 0;
  for (const float value : w) largest = std::fmax(largest, std::fabs(value));
  return largest;
}

/// Q = 2^(b-1) - 1; scale = max(absmax / Q, 2^-126); code = clamp(rint(w / scale), -Q, Q).
inline Granule absmax(int bits, const std::vector<float>& w) {
  const int q = (1 << (bits - 1)) - 1;
  const float floor = std::ldexp(1.0F, -126);
  Granule g;
  const float wanted = largest_magnitude(w) / static_cast<float>(q);
  g.floored = wanted < floor;
  g.scale = g.floored ? floor : wanted;
  for (const float value : w) {
    const float quotient = value / g.scale;
    g.codes.push_back(clamped(round_half_even(static_cast<double>(quotient)), -q, q));
  }
  return g;
}

/// Does the granule hold only {-a, 0, +a}, with one a > 0? Then a, else 0.
inline float ternary_value(const std::vector<float>& w) {
  float a = 0;
  for (const float value : w) {
    if (value == 0) continue;
    if (a != 0 && std::fabs(value) != a) return 0;
    a = std::fabs(value);
  }
  return a;
}

/// g = max(mean |w|, 1e-5); code = clamp(rint(w * (1 / g)), -1, 1); scale = g. Already ternary: scale a, codes by sign.
inline Granule ternary(const std::vector<float>& w) {
  Granule g;
  if (const float a = ternary_value(w); a > 0) {
    g.prequantized = true;
    g.scale = a;
    for (const float value : w) g.codes.push_back(value > 0 ? 1 : value < 0 ? -1 : 0);
    return g;
  }
  std::vector<double> magnitudes;
  for (const float value : w) magnitudes.push_back(std::fabs(static_cast<double>(value)));
  const float wanted = mean(magnitudes);
  g.floored = wanted < 1e-5F;
  g.scale = g.floored ? 1e-5F : wanted;
  const float inverse = 1.0F / g.scale;
  for (const float value : w) {
    const float product = value * inverse;
    g.codes.push_back(clamped(round_half_even(static_cast<double>(product)), -1, 1));
  }
  return g;
}

/// code = +1 if w - mean > 0 else -1; scale = mean |w|.
inline Granule binary(const std::vector<float>& w) {
  std::vector<double> values;
  std::vector<double> magnitudes;
  for (const float value : w) {
    values.push_back(static_cast<double>(value));
    magnitudes.push_back(std::fabs(static_cast<double>(value)));
  }
  const float alpha = mean(values);
  Granule g;
  g.scale = mean(magnitudes);
  for (const float value : w) g.codes.push_back(value - alpha > 0 ? 1 : -1);
  return g;
}

/// m = max(absmax, 1e-5); code = clamp(rint(x * (127 / m)), -128, 127); scale = m / 127.
inline Granule token(const std::vector<float>& x) {
  Granule g;
  const float largest = largest_magnitude(x);
  g.floored = largest < 1e-5F;
  const float m = g.floored ? 1e-5F : largest;
  g.scale = m / 127.0F;
  const float multiplier = 127.0F / m;
  for (const float value : x) {
    const float product = value * multiplier;
    g.codes.push_back(clamped(round_half_even(static_cast<double>(product)), -128, 127));
  }
  return g;
}

/// By the rule's name: "int8-absmax" … "int2-absmax", "ternary-absmean", "binary-absmean", "int8-token".
inline Granule granule(const std::string& rule, const std::vector<float>& w) {
  if (rule == "ternary-absmean") return ternary(w);
  if (rule == "binary-absmean") return binary(w);
  if (rule == "int8-token") return token(w);
  return absmax(rule.at(3) - '0', w);
}

/// A whole tensor.
struct Quantized {
  std::vector<int> codes;
  std::vector<float> scales;
  std::int64_t floored = 0;
  std::int64_t prequantized = 0;
};

inline Quantized quantize(const std::string& rule, const std::vector<std::vector<std::size_t>>& granules,
                          const std::vector<float>& w) {
  Quantized q;
  q.codes.resize(w.size());
  for (const std::vector<std::size_t>& elements : granules) {
    std::vector<float> values;
    for (const std::size_t i : elements) values.push_back(w[i]);
    const Granule g = granule(rule, values);
    for (std::size_t i = 0; i < elements.size(); ++i) q.codes[elements[i]] = g.codes[i];
    q.scales.push_back(g.scale);
    q.floored += g.floored ? 1 : 0;
    q.prequantized += g.prequantized ? 1 : 0;
  }
  return q;
}

/// Values of a tensor: code * scale, held at ±the largest finite number of `dtype`, then rounded to it once.
struct Dequantized {
  std::vector<float> values;
  std::int64_t held = 0;
};

inline Dequantized dequantize(const Quantized& q, const std::vector<std::vector<std::size_t>>& granules,
                              const std::string& dtype) {
  const FloatFormat format = format_called(dtype);
  const std::uint32_t infinity = bits_of(format, std::numeric_limits<double>::infinity());
  const auto largest = static_cast<float>(value_of(format, infinity - 1));
  Dequantized d;
  d.values.resize(q.codes.size());
  for (std::size_t g = 0; g < granules.size(); ++g) {
    for (const std::size_t i : granules[g]) {
      const float exact = static_cast<float>(q.codes[i]) * q.scales[g];
      d.held += std::fabs(exact) > largest ? 1 : 0;
      const float held = std::fmin(std::fmax(exact, -largest), largest);
      d.values[i] = rounded_to(dtype, held);
    }
  }
  return d;
}

}  // namespace oracle
