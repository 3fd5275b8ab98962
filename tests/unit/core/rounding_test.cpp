#include "core/rounding.h"

#include "oracle/schemes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace bnq::test {
namespace {

/// Every half and whole number around the codes with its neighbours, and numbers far outside.
std::vector<float> interesting() {
  const float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> values{0.0F,      -0.0F,   1e-45F,  -1e-45F, 1e38F,    -1e38F,  infinity,
                            -infinity, 0x1p22F, 0x1p23F, 0x1p31F, -0x1p31F, 0x1p63F, 12582912.0F};
  for (int halves = -600; halves <= 600; ++halves) {
    const auto value = static_cast<float>(halves) / 2;
    values.insert(values.end(), {value, std::nextafter(value, infinity), std::nextafter(value, -infinity)});
  }
  return values;
}

TEST(RoundToCode, EveryTieAndItsNeighbours) {
  for (const auto& [low, high] : {std::pair{-127, 127}, {-128, 127}, {-63, 63}, {-31, 31}, {-7, 7}, {-3, 3}, {-1, 1}}) {
    for (const float value : interesting()) {
      const int want = oracle::clamped(oracle::round_half_even(static_cast<double>(value)), low, high);
      ASSERT_EQ(detail::round_to_code(value, low, high), want)
          << std::hexfloat << value << " in " << low << ".." << high;
    }
  }
}

TEST(RoundToCode, HandComputed) {
  const std::vector<std::pair<float, int>> rows{{0.5F, 0},     {1.5F, 2},       {2.5F, 2},       {-0.5F, 0},
                                                {-1.5F, -2},   {-2.5F, -2},     {0.75F, 1},      {126.5F, 126},
                                                {127.5F, 127}, {-127.5F, -128}, {-128.5F, -128}, {1e9F, 127}};
  for (const auto& [value, code] : rows) EXPECT_EQ(detail::round_to_code(value, -128, 127), code) << value;
}

}  // namespace
}  // namespace bnq::test
