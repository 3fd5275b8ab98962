// quantize equals the oracle, code by code and bit by bit: every scheme, dtype and granularity, over values of many
// kinds.

#include "support/distributions.h"
#include "support/oracle_bridge.h"
#include "support/random.h"
#include "support/test_scale.h"

#include <bnq/quantize.h>

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <iterator>
#include <vector>

namespace bnq::test {
namespace {

/// Small with every kind of tail, and now and then deep enough for a second and third block of the sums.
std::array<std::size_t, 2> random_matrix(Random& random) {
  const auto between = [&](std::int64_t low, std::int64_t high) {
    return static_cast<std::size_t>(random.integer(low, high));
  };
  switch (random.integer(0, 15)) {
    case 0:
      return {1, between(4097, 12'500)};
    case 1:
      return {between(1, 3), between(2500, 4200)};
    case 2:
      return {between(50, 150), between(1, 20)};
    default:
      return {between(1, 9), between(1, 300)};
  }
}

std::vector<Granularity> granularities(Random& random, std::size_t depth) {
  return {Granularity::tensor(),
          Granularity::row(),
          Granularity::group(1),
          Granularity::group(random.integer(2, 50)),
          Granularity::group(64),
          Granularity::group(128),
          Granularity::group(static_cast<std::int64_t>(depth) + random.integer(0, 1000))};
}

/// All granularities of one rule over one tensor. Returns the values compared.
std::int64_t compare_tensor(Random& random, const Scheme& rule, DType dtype, Values kind) {
  const float largest = dtype == DType::f16 ? 65504.0F : dtype == DType::bf16 ? 0x1.FEp127F : 0x1.FFFFFEp127F;
  const std::array<std::size_t, 2> size = random_matrix(random);
  const Shape shape{static_cast<std::int64_t>(size[0]), static_cast<std::int64_t>(size[1])};
  const ValueLimits limits{.levels = rule.max_code(), .largest = largest};
  const Tensor tensor = make_tensor(dtype, shape, random_values(random, kind, size, limits));
  const std::vector<float> values = floats_of(tensor);
  std::int64_t compared = 0;
  for (const Granularity& granularity : granularities(random, size[1])) {
    const Scheme scheme = rule.with(granularity);
    const QuantizedTensor q = quantize(tensor.view(), scheme);
    EXPECT_TRUE(same(q, oracle_quantize(values, shape, scheme)))
        << scheme.to_string() << " of " << name(dtype) << " " << to_string(shape);
    EXPECT_EQ(q.dtype(), dtype);
    compared += q.elements();
  }
  return compared;
}

TEST(QuantizeOracle, EverySchemeDtypeAndGranularity) {
  Random random(1);
  const std::int64_t wanted = scaled(10'000'000);
  std::int64_t compared = 0;
  for (std::int64_t round = 0; compared < wanted; ++round) {
    for (const Scheme& rule : Scheme::all()) {
      for (const DType dtype : float_dtypes) {
        for (const auto& [kind, title] : all_values) {
          SCOPED_TRACE(random.describe() + ", round " + std::to_string(round) + ", " + std::string(title));
          compared += compare_tensor(random, rule, dtype, kind);
          ASSERT_FALSE(HasFailure());
        }
      }
    }
  }
  RecordProperty("values_compared", std::to_string(compared));
  std::printf("quantize equals the oracle in %lld values\n", static_cast<long long>(compared));
}

TEST(QuantizeOracle, AllTails) {
  Random random(2);
  for (std::int64_t depth = 1; depth <= 70; ++depth) {
    for (const Scheme& rule : Scheme::all()) {
      for (const DType dtype : float_dtypes) {
        const Shape shape{3, depth};
        const ValueLimits limits{.levels = rule.max_code(), .largest = 60'000};
        const Tensor tensor = make_tensor(
            dtype, shape, random_values(random, Values::gaussian, {3, static_cast<std::size_t>(depth)}, limits));
        for (const Granularity& granularity :
             {Granularity::tensor(), Granularity::row(), Granularity::group(16), Granularity::group(33)}) {
          const Scheme scheme = rule.with(granularity);
          ASSERT_TRUE(same(quantize(tensor.view(), scheme), oracle_quantize(floats_of(tensor), shape, scheme)))
              << scheme.to_string() << " of " << name(dtype) << " " << to_string(shape) << ", " << random.describe();
        }
      }
    }
  }
}

::testing::AssertionResult means_equal_the_oracle(const std::vector<float>& values) {
  const Tensor tensor = make_tensor(DType::f32, {std::ssize(values)}, values);
  for (const char* rule : {"ternary:tensor", "binary:tensor", "binary:row"}) {
    const Scheme scheme = Scheme::parse(rule);
    const auto result = same(quantize(tensor.view(), scheme), oracle_quantize(values, tensor.shape(), scheme));
    if (!result) return ::testing::AssertionFailure() << rule << ": " << result.message();
  }
  return ::testing::AssertionSuccess();
}

TEST(QuantizeOracle, MeansAroundEveryBlockEdge) {
  Random random(3);
  for (const std::int64_t elements : {4095, 4096, 4097, 4111, 4112, 4113, 8191, 8192, 8193, 12'289, 65'536, 65'537}) {
    const ValueLimits limits{.levels = 1, .largest = 1e30F};
    const std::array<std::size_t, 2> size{1, static_cast<std::size_t>(elements)};
    const std::vector<float> values = random_values(random, Values::heavy_tailed, size, limits);
    EXPECT_TRUE(means_equal_the_oracle(values)) << elements << ", " << random.describe();
  }
}

/// Sums that end at a tie between two float32 numbers: 2^53 + 2^29 in float64, divided by a power of two. The ones
/// beside them break the tie or are absorbed by 2^53, as the order of the additions will have it.
TEST(QuantizeOracle, MeansShowTheOrderOfTheirSums) {
  Random random(5);
  for (int i = 0; i < 400; ++i) {
    std::vector<float> values(i % 2 == 0 ? 64 : 16'384, 0.0F);
    const auto anywhere = [&] { return static_cast<std::size_t>(random.integer(0, std::ssize(values) - 1)); };
    for (int ones = 0; ones < 4; ++ones) values[anywhere()] = 1;
    values[anywhere()] = 0x1p29F;
    values[anywhere()] = -0x1p53F;
    ASSERT_TRUE(means_equal_the_oracle(values)) << "vector " << i << ", " << random.describe();
  }
}

/// Large numbers that cancel leave a mean made of rounding errors; small values on both sides of it show it as codes.
TEST(QuantizeOracle, MeansShowTheOrderOfCancellingSums) {
  Random random(6);
  for (int i = 0; i < 20; ++i) {
    std::vector<float> values;
    for (int j = 0; j < 6000; ++j) values.push_back(static_cast<float>(random.uniform(-8, 8)));
    for (int j = 0; j < 3000; ++j) {
      const auto large = static_cast<float>(std::ldexp(1 + random.unit(), static_cast<int>(random.integer(58, 62))));
      const auto at = values.begin() + random.integer(0, std::ssize(values));
      values.insert(at, large);
      values.insert(values.begin() + random.integer(0, std::ssize(values)), -large);
    }
    ASSERT_TRUE(means_equal_the_oracle(values)) << "vector " << i << ", " << random.describe();
  }
}

TEST(QuantizeOracle, QuantizeActivationsIsTheTokenScheme) {
  Random random(4);
  const ValueLimits limits{.levels = 127, .largest = 1e30F};
  const Tensor x = make_tensor(DType::f32, {2, 5, 33}, random_values(random, Values::heavy_tailed, {10, 33}, limits));
  const QuantizedTensor a = quantize_activations(x.view());
  EXPECT_EQ(a.scheme(), Scheme::activations());
  EXPECT_TRUE(same(a, oracle_quantize(floats_of(x), x.shape(), Scheme::activations())));
}

}  // namespace
}  // namespace bnq::test
