// Linear equals the oracle, bit by bit, over random sizes, schemes, groups and dtypes.

#include "support/distributions.h"
#include "support/environment.h"
#include "support/oracle_bridge.h"
#include "support/random.h"
#include "support/test_scale.h"

#include <bnq/linear.h>

#include <gtest/gtest.h>

#include <cstdio>
#include <limits>
#include <vector>

namespace bnq::test {
namespace {

struct Case {
  std::int64_t tokens;
  std::int64_t outputs;
  std::int64_t depth;
  Scheme scheme;
  DType dtype;
  bool biased;

  [[nodiscard]] std::string describe() const {
    return "[" + std::to_string(tokens) + ", " + std::to_string(outputs) + ", " + std::to_string(depth) + "] " +
           scheme.to_string() + " " + std::string(name(dtype)) + (biased ? " with" : " without") + " bias";
  }
};

Granularity random_granularity(Random& random) {
  const std::int64_t kind = random.integer(0, 3);
  if (kind == 0) return Granularity::tensor();
  if (kind == 1) return Granularity::row();
  return Granularity::group(random.integer(1, 40));
}

Case random_case(Random& random) {
  const std::vector<Scheme> rules = Scheme::all();
  const auto rule = static_cast<std::size_t>(random.integer(0, static_cast<std::int64_t>(rules.size()) - 1));
  return {.tokens = random.integer(0, 5),
          .outputs = random.integer(0, 12),
          .depth = random.integer(0, random.integer(0, 9) == 0 ? 300 : 40),
          .scheme = rules[rule].with(random_granularity(random)),
          .dtype = float_dtypes[static_cast<std::size_t>(random.integer(0, 2))],
          .biased = random.coin()};
}

std::vector<float> random_floats(Random& random, std::int64_t rows, std::int64_t depth) {
  const auto kind = all_values[static_cast<std::size_t>(random.integer(0, 7))].first;
  const ValueLimits limits{.levels = 127, .largest = 60'000};
  return random_values(random, kind, {static_cast<std::size_t>(rows), static_cast<std::size_t>(depth)}, limits);
}

oracle::Weights oracle_weights(const QuantizedTensor& q) {
  return {.quantized = as_oracle(q),
          .outputs = static_cast<std::size_t>(q.rows()),
          .depth = static_cast<std::size_t>(q.depth()),
          .granularity = kind_of(q.scheme().granularity()),
          .group_size = static_cast<std::size_t>(q.scheme().granularity().group_size)};
}

/// All tokens, as bytes of the dtype of x.
std::vector<std::byte> oracle_forward(const QuantizedTensor& weight, const Tensor& x, const std::vector<float>& bias) {
  const oracle::Weights weights = oracle_weights(weight);
  const std::vector<float> values = floats_of(x);
  std::vector<float> y;
  const auto depth = static_cast<std::ptrdiff_t>(weights.depth);
  for (std::int64_t token = 0; token < x.shape()[0]; ++token) {
    const auto begin = values.begin() + token * depth;
    const std::vector<float> row = oracle::linear(weights, {begin, begin + depth}, bias);
    y.insert(y.end(), row.begin(), row.end());
  }
  std::vector<std::byte> bytes(y.size() * size_bytes(x.dtype()));
  // store() rounds as the oracle does, but keeps a NaN's bits in float32: make each the quiet one.
  for (float& value : y) value = std::isnan(value) ? std::numeric_limits<float>::quiet_NaN() : value;
  store(y, x.dtype(), bytes.data());
  return bytes;
}

Tensor forward(const Linear& linear, const Tensor& x) {
  Tensor y(x.dtype(), {x.shape()[0], linear.out_features()});
  std::vector<std::byte> scratch(linear.scratch_bytes(x.shape()[0]));
  linear.forward(x.view(), y.mutable_view(), scratch);
  return y;
}

/// One random layer, from codes and from bytes.
void compare(Random& random, const Case& c) {
  const Shape shape{c.outputs, c.depth};
  const Tensor w = make_tensor(DType::f32, shape, random_floats(random, c.outputs, c.depth));
  const QuantizedTensor weight = quantize(w.view(), c.scheme);
  Tensor x = make_tensor(c.dtype, {c.tokens, c.depth}, random_floats(random, c.tokens, c.depth));
  if (x.elements() > 0 && random.integer(0, 7) == 0) {
    const float bad = random.coin() ? std::numeric_limits<float>::infinity() : std::nanf("");
    const auto at = static_cast<std::size_t>(random.integer(0, x.elements() - 1));
    store({&bad, 1}, c.dtype, x.bytes().data() + at * size_bytes(c.dtype));
  }
  std::vector<float> bias;
  if (c.biased) bias = random_floats(random, c.outputs, 1);
  const std::vector<std::byte> want = oracle_forward(weight, x, bias);
  EXPECT_TRUE(same_bytes(forward(Linear(weight, bias), x).bytes(), want)) << "from codes, " << c.describe();
  EXPECT_TRUE(same_bytes(forward(Linear(pack(weight), bias), x).bytes(), want)) << "from bytes, " << c.describe();
}

TEST(LinearOracle, RandomLayers) {
  Random random(5);
  const std::int64_t layers = scaled(20'000);
  for (std::int64_t i = 0; i < layers; ++i) {
    SCOPED_TRACE(random.describe() + ", layer " + std::to_string(i));
    compare(random, random_case(random));
    ASSERT_FALSE(HasFailure());
  }
  RecordProperty("layers_compared", std::to_string(layers));
  std::printf("Linear equals the oracle in %lld layers\n", static_cast<long long>(layers));
}

/// More outputs than one kernel call takes, and enough products that threads share them.
TEST(LinearOracle, LargeLayersOnOneTwoAndSevenThreads) {
  Random random(6);
  for (const char* scheme : {"8", "4:group(64)", "ternary", "binary:row"}) {
    const Tensor w = make_tensor(DType::f32, {700, 515}, random_floats(random, 700, 515));
    const QuantizedTensor weight = quantize(w.view(), Scheme::parse(scheme));
    const Tensor x = make_tensor(DType::bf16, {23, 515}, random_floats(random, 23, 515));
    const std::vector<std::byte> want = oracle_forward(weight, x, {});
    for (const int threads : {1, 2, 7}) {
      const ThreadCount count(threads);
      EXPECT_TRUE(same_bytes(forward(Linear(weight), x).bytes(), want)) << scheme << ", threads " << threads;
    }
  }
}

/// Tokens are quantized on several threads, too.
TEST(LinearOracle, ManyTokensOnOneTwoAndSevenThreads) {
  Random random(7);
  const Tensor w = make_tensor(DType::f32, {3, 1300}, random_floats(random, 3, 1300));
  const QuantizedTensor weight = quantize(w.view(), Scheme::parse("8"));
  const Tensor x = make_tensor(DType::f32, {400, 1300}, random_floats(random, 400, 1300));
  const std::vector<std::byte> want = oracle_forward(weight, x, {0.5F, -1.0F, 3.0F});
  for (const int threads : {1, 2, 7}) {
    const ThreadCount count(threads);
    const std::vector<float> bias{0.5F, -1.0F, 3.0F};
    EXPECT_TRUE(same_bytes(forward(Linear(weight, bias), x).bytes(), want)) << "threads " << threads;
  }
}

}  // namespace
}  // namespace bnq::test
