// Every compiled kernel at the limits of its contract.

#include "kernels/registry.h"

#include "support/guarded_buffer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <vector>

namespace bnq::test {
namespace {

struct Extreme {
  std::int8_t activation;
  std::int8_t weight;
};

/// One output of `depth` equal products, with buffers that end at a guard page.
float run(const detail::Kernel& kernel, std::int64_t depth, const Extreme& codes, std::int64_t group_size) {
  const auto size = static_cast<std::size_t>(depth);
  GuardedBuffer activations(size);
  GuardedBuffer weights(size);
  std::memset(activations.data(), codes.activation, size);
  std::memset(weights.data(), codes.weight, size);
  const std::int64_t groups = (depth + group_size - 1) / group_size;
  const std::vector<float> scales(static_cast<std::size_t>(groups), 1.0F);
  GuardedBuffer y(sizeof(float));
  kernel.run({.activations = reinterpret_cast<const std::int8_t*>(activations.data()),
              .activation_scale = 1,
              .weights = reinterpret_cast<const std::int8_t*>(weights.data()),
              .weight_scales = scales.data(),
              .scale_stride = groups,
              .groups = groups,
              .group_size = group_size,
              .depth = depth,
              .bias = nullptr,
              .first_output = 0,
              .last_output = 1,
              .y = reinterpret_cast<float*>(y.data())});
  float value = 0;
  std::memcpy(&value, y.data(), sizeof value);
  return value;
}

/// 131071 products of 128 * 128 are the most that int32 holds.
TEST(Gemm, ExtremeCodesAreExact) {
  for (const detail::Kernel* kernel : detail::all_kernels()) {
    for (const std::int64_t depth : {1, 15, 16, 17, 63, 64, 65, 16'384, 131'071}) {
      for (const Extreme& codes : {Extreme{-128, 127}, Extreme{-128, -127}, Extreme{127, 127}, Extreme{-128, -128}}) {
        const auto want = static_cast<float>(depth * codes.activation * codes.weight);
        EXPECT_EQ(run(*kernel, depth, codes, depth), want) << kernel->name() << " " << depth;
      }
    }
  }
}

/// Group sums are rounded to float32 one by one, left to right.
TEST(Gemm, GroupsWithATail) {
  for (const detail::Kernel* kernel : detail::all_kernels()) {
    for (const std::int64_t group : {1, 2, 7, 64}) {
      for (const std::int64_t depth : {1, 6, 7, 8, 63, 64, 65, 129}) {
        EXPECT_EQ(run(*kernel, depth, {-128, 127}, group), static_cast<float>(-128 * 127 * depth)) << kernel->name();
      }
    }
  }
}

}  // namespace
}  // namespace bnq::test
