#pragma once

#include "support/random.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace bnq::test {

/// Where the values of a random [rows, depth] matrix come from.
enum class Values { gaussian, uniform, heavy_tailed, subnormal, ties, mean_ties, huge, mixed_rows };

inline constexpr std::array<std::pair<Values, std::string_view>, 8> all_values{{
    {Values::gaussian, "gaussian"},
    {Values::uniform, "uniform"},
    {Values::heavy_tailed, "heavy_tailed"},
    {Values::subnormal, "subnormal"},
    {Values::ties, "ties"},
    {Values::mean_ties, "mean_ties"},
    {Values::huge, "huge"},
    {Values::mixed_rows, "mixed_rows"},
}};

struct ValueLimits {
  int levels;     ///< largest code of the scheme under test: where its ties are
  float largest;  ///< largest finite number of the dtype
};

/// Multiples of half a code step: with the absmax of each 61 neighbours at `levels`, every odd multiple is a tie.
inline float tie(Random& random, std::size_t i, int levels) {
  const auto code_halves = static_cast<double>(random.integer(-2 * levels, 2 * levels));
  return static_cast<float>(i % 61 == 0 ? levels : code_halves / 2);
}

/// Magnitudes 0.5 and 1.5 in turn: their mean is 1, so that each is a tie for rules by absmean.
inline float mean_tie(Random& random, std::size_t i) {
  const float magnitude = i % 2 == 0 ? 0.5F : 1.5F;
  return random.coin() ? magnitude : -magnitude;
}

/// A float from random bits with a small exponent: zeros, subnormals and the smallest normal numbers.
inline float subnormal(Random& random) {
  const std::uint32_t shift = static_cast<std::uint32_t>(random.integer(0, 22));
  const std::uint32_t bits = ((random.bits32() & 0x00FF'FFFFU) >> shift) | (random.coin() ? 0x8000'0000U : 0U);
  return std::bit_cast<float>(random.integer(0, 9) == 0 ? 0U : bits);
}

inline float one_value(Random& random, Values kind, std::size_t i, const ValueLimits& limits) {
  switch (kind) {
    case Values::gaussian:
      return static_cast<float>(0.02 * random.gaussian());
    case Values::uniform:
      return static_cast<float>(random.uniform(-1, 1));
    case Values::heavy_tailed:
      return static_cast<float>(random.gaussian() / (random.unit() + 1e-4));
    case Values::subnormal:
      return subnormal(random);
    case Values::ties:
      return tie(random, i, limits.levels);
    case Values::mean_ties:
      return mean_tie(random, i);
    case Values::huge:
      return limits.largest * static_cast<float>(random.uniform(-1, 1));
    case Values::mixed_rows:
      break;
  }
  return static_cast<float>(random.gaussian());
}

/// Rows of zeros, rows that are ternary already (with a tiny a, too), tiny rows and ordinary ones, mixed.
inline void mix_rows(Random& random, std::size_t depth, std::vector<float>& values) {
  for (std::size_t begin = 0; begin < values.size(); begin += depth) {
    const auto row = values.begin() + static_cast<std::ptrdiff_t>(begin);
    const std::int64_t kind = random.integer(0, 4);
    const float a = std::ldexp(1.0F + static_cast<float>(random.unit()), static_cast<int>(random.integer(-148, 10)));
    for (auto value = row; value != row + static_cast<std::ptrdiff_t>(depth); ++value) {
      if (kind == 0) *value = random.coin() ? 0.0F : -0.0F;
      if (kind == 1) *value = a * static_cast<float>(random.integer(-1, 1));
      if (kind == 2) *value *= 1e-6F;
    }
  }
}

/// rows * depth values, to be rounded to the dtype whose limit is given.
inline std::vector<float> random_values(Random& random, Values kind, std::array<std::size_t, 2> rows_and_depth,
                                        const ValueLimits& limits) {
  std::vector<float> values(rows_and_depth[0] * rows_and_depth[1]);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = one_value(random, kind, i, limits);
  if (kind == Values::mixed_rows) mix_rows(random, rows_and_depth[1], values);
  for (float& value : values) value = std::clamp(value, -limits.largest, limits.largest);
  return values;
}

}  // namespace bnq::test
