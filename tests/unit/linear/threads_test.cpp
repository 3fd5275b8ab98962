// Linear's result does not depend on how many threads compute it.

#include "support/distributions.h"
#include "support/tensors.h"
#include "support/test_scale.h"

#include <bnq/linear.h>
#include <bnq/quantize.h>
#include <bnq/threads.h>

#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <vector>

namespace bnq::test {
namespace {

class LinearThreads : public ::testing::Test {
 protected:
  ~LinearThreads() override { set_num_threads(before_); }

 private:
  int before_ = num_threads();
};

Tensor forward(const Linear& linear, const Tensor& x, int threads) {
  set_num_threads(threads);
  const std::int64_t tokens = x.view().rows();
  Tensor y(x.dtype(), {tokens, linear.out_features()});
  std::vector<std::byte> scratch(linear.scratch_bytes(tokens));
  linear.forward(x.view(), y.mutable_view(), scratch);
  return y;
}

std::vector<float> random_matrix(Random& random, Values kind, const Shape& shape) {
  const std::array rows_and_depth{static_cast<std::size_t>(shape[0]), static_cast<std::size_t>(shape[1])};
  return random_values(random, kind, rows_and_depth, {.levels = 127, .largest = 1e4F});
}

/// Large enough that seven threads have something to do: a thread is worth 2^20 products.
TEST_F(LinearThreads, GiveTheSameBits) {
  const char* const schemes[] = {"8", "4", "ternary", "ternary:group(48)", "1", "int8-absmax:group(100)"};
  Random random(52);
  for (std::int64_t i = 0; i < scaled(24); ++i) {
    const Scheme scheme = Scheme::parse(schemes[i % 6]);
    const std::int64_t outputs = random.integer(449, 700);
    const std::int64_t depth = random.integer(300, 500);
    const std::int64_t tokens = random.coin() ? random.integer(60, 80) : random.integer(1, 20);
    const std::vector<float> weights = random_matrix(random, Values::gaussian, {outputs, depth});
    const std::vector<float> bias(static_cast<std::size_t>(outputs), 0.25F);
    const Linear linear(quantize({weights.data(), DType::f32, {outputs, depth}}, scheme), bias);
    std::vector<float> values = random_matrix(random, Values::heavy_tailed, {tokens, depth});
    values[static_cast<std::size_t>(random.integer(0, tokens * depth - 1))] = std::numeric_limits<float>::quiet_NaN();
    const Tensor x = make_tensor(float_dtypes[static_cast<std::size_t>(i % 3)], {tokens, depth}, values);
    const Tensor want = forward(linear, x, 1);
    for (const int threads : {2, 3, 7}) {
      ASSERT_TRUE(same_bytes(forward(linear, x, threads).bytes(), want.bytes()))
          << random.describe() << ", layer " << i << ": " << threads << " threads, " << tokens << " tokens, ["
          << outputs << ", " << depth << "] " << scheme.to_string();
    }
  }
}

}  // namespace
}  // namespace bnq::test
