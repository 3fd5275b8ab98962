// Linear's contract beside its numbers, which property/linear_oracle_test.cpp has.

#include "support/distributions.h"
#include "support/expect_error.h"
#include "support/guarded_buffer.h"
#include "support/packed.h"
#include "support/tensors.h"

#include <bnq/linear.h>
#include <bnq/quantize.h>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace bnq::test {
namespace {

QuantizedTensor ones(const char* scheme, const Shape& shape, int code = 1, float scale = 1) {
  return quantized(Scheme::parse(scheme), shape, std::vector<int>(static_cast<std::size_t>(element_count(shape)), code),
                   scale);
}

Tensor forward(const Linear& linear, const Tensor& x) {
  Shape shape = x.shape();
  shape.back() = linear.out_features();
  Tensor y(x.dtype(), shape);
  std::vector<std::byte> scratch(linear.scratch_bytes(x.view().rows()));
  linear.forward(x.view(), y.mutable_view(), scratch);
  return y;
}

TEST(Linear, HandComputed) {
  // codes of x: 1.27 and -0.5 with scale 0.01 are 127 and -50
  const Linear linear(quantized(Scheme::parse("8"), {2, 2}, {1, 2, -3, 4}, 0.5F), std::vector<float>{10, -1});
  const Tensor x = make_tensor(DType::f32, {1, 2}, {1.27F, -0.5F});
  const float scale = 1.27F / 127.0F;
  const std::vector<float> want{(127 - 100) * 0.5F * scale + 10, (-381 - 200) * 0.5F * scale - 1};
  EXPECT_EQ(floats_of(forward(linear, x)), want);
  EXPECT_EQ(linear.in_features(), 2);
  EXPECT_EQ(linear.out_features(), 2);
}

TEST(Linear, AnyRankOfX) {
  const Linear linear(ones("8", {3, 4}));
  for (const Shape& shape : {Shape{4}, Shape{2, 4}, Shape{2, 1, 3, 4}, Shape{0, 4}, Shape{2, 0, 4}}) {
    const std::vector<float> values(static_cast<std::size_t>(element_count(shape)), 1.0F);
    const Tensor y = forward(linear, make_tensor(DType::f32, shape, values));
    for (const float value : floats_of(y)) EXPECT_EQ(value, 4 * 127 * (1.0F / 127.0F));
  }
}

TEST(Linear, WithoutDepthGivesTheBias) {
  const Linear linear(ones("8", {2, 0}), std::vector<float>{3, -4});
  Tensor y(DType::f32, {5, 2});
  std::vector<std::byte> scratch(linear.scratch_bytes(5));
  linear.forward(TensorView(nullptr, DType::f32, {5, 0}), y.mutable_view(), scratch);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(y.data<float>()[i], i % 2 == 0 ? 3 : -4);
  EXPECT_EQ(forward(Linear(ones("8", {0, 4})), make_tensor(DType::f32, {1, 4}, {1, 2, 3, 4})).elements(), 0);
}

/// A bad token gives NaN in all of its outputs, the quiet one of its dtype, and touches no other.
TEST(Linear, BadTokensGiveNan) {
  const Linear linear(ones("8", {300, 3}), std::vector<float>(300, 1.0F));
  const std::vector<std::pair<DType, std::uint32_t>> quiet{
      {DType::f32, 0x7FC0'0000U}, {DType::f16, 0x7E00U}, {DType::bf16, 0x7FC0U}};
  const float infinity = std::numeric_limits<float>::infinity();
  for (const auto& [dtype, bits] : quiet) {
    for (const float bad : {std::nanf(""), -std::nanf(""), infinity, -infinity}) {
      for (std::size_t at = 0; at < 3; ++at) {
        std::vector<float> values{1, 1, 1, 1, 1, 1, 1, 1, 1};
        const Tensor good = forward(linear, make_tensor(dtype, {3, 3}, values));
        values[3 + at] = bad;
        const Tensor y = forward(linear, make_tensor(dtype, {3, 3}, values));
        const std::size_t row = y.nbytes() / 3;
        EXPECT_TRUE(same_bytes(y.bytes().first(row), good.bytes().first(row)));
        EXPECT_TRUE(same_bytes(y.bytes().last(row), good.bytes().last(row)));
        for (std::size_t n = 0; n < 300; ++n) {
          std::uint32_t got = 0;
          std::memcpy(&got, y.bytes().data() + row + n * size_bytes(dtype), size_bytes(dtype));
          ASSERT_EQ(got, bits) << name(dtype);
        }
      }
    }
  }
}

/// Outputs past the largest number of the dtype round as IEEE 754 does: to infinity.
TEST(Linear, OverflowsToInfinity) {
  const Linear linear(ones("8", {1, 2}, 127, 1000.0F));
  const Tensor y = forward(linear, make_tensor(DType::f16, {1, 2}, {60000, 60000}));
  EXPECT_EQ(floats_of(y), std::vector<float>{std::numeric_limits<float>::infinity()});
}

TEST(Linear, ExtremeCodesAreExact) {
  for (const int sign : {-1, 1}) {
    const std::int64_t depth = 131'071;  // the most that fits with weight codes down to -128
    const Linear linear(ones("int8-token", {1, depth}, -128));
    const std::vector<float> values(static_cast<std::size_t>(depth), static_cast<float>(sign));
    const Tensor y = forward(linear, make_tensor(DType::f32, {1, depth}, values));
    EXPECT_EQ(floats_of(y)[0], static_cast<float>(-128LL * 127 * sign * depth) * (1.0F / 127.0F));
  }
}

TEST(Linear, RefusesSumsThatMightNotFit) {
  EXPECT_NO_THROW(Linear(ones("8", {1, 132'104})));
  EXPECT_BNQ_ERROR(Linear(ones("8", {1, 132'105})), ErrorKind::unsupported, "got 132105", "need 132104", "group(n)");
  EXPECT_BNQ_ERROR(Linear(ones("int8-token", {1, 131'072})), ErrorKind::unsupported, "need 131071");
  EXPECT_NO_THROW(Linear(ones("8:group(64)", {1, 132'105})));
  EXPECT_NO_THROW(Linear(ones("ternary", {1, 1'000'000})));
  EXPECT_NO_THROW(Linear(ones("8:group(1000000)", {1, 100})));  // a group longer than the row is the row
  EXPECT_BNQ_ERROR(Linear(ones("8:group(1000000)", {1, 200'000})), ErrorKind::unsupported, "group(n)");
}

TEST(Linear, RefusesBadWeightsAndBias) {
  EXPECT_BNQ_ERROR(Linear(ones("8", {4})), ErrorKind::unsupported, "[4]", "[outputs, depth]", "reshape");
  EXPECT_BNQ_ERROR(Linear(ones("8", {2, 2, 2})), ErrorKind::unsupported, "[2, 2, 2]");
  EXPECT_BNQ_ERROR(Linear(ones("8", {2, 2}), std::vector<float>{1}), ErrorKind::invalid_argument, "got 1", "need 2");
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    const std::vector<float> bias{0, bad};
    EXPECT_BNQ_ERROR(Linear(ones("8", {2, 2}), bias), ErrorKind::invalid_argument, "bias is not finite", "[1]");
  }
}

TEST(Linear, RefusesInputsThatDoNotFit) {
  const Linear linear(ones("8", {2, 3}));
  const Tensor x = make_tensor(DType::f32, {1, 3}, {1, 2, 3});
  Tensor y(DType::f32, {1, 2});
  std::vector<std::byte> scratch(linear.scratch_bytes(1));
  const auto run = [&](const TensorView& in, const MutableTensorView& out, std::size_t bytes) {
    linear.forward(in, out, std::span(scratch).first(bytes));
    return 0;
  };
  EXPECT_BNQ_ERROR(run(x.view(), y.mutable_view(), scratch.size() - 1), ErrorKind::invalid_argument, "scratch",
                   "got " + std::to_string(scratch.size() - 1) + " bytes", "need " + std::to_string(scratch.size()));
  const Tensor deep = make_tensor(DType::f32, {1, 4}, {1, 2, 3, 4});
  EXPECT_BNQ_ERROR(run(deep.view(), y.mutable_view(), scratch.size()), ErrorKind::invalid_argument, "[1, 4]",
                   "[..., 3]");
  EXPECT_BNQ_ERROR(run(TensorView(x.bytes().data(), DType::f32, {}), y.mutable_view(), scratch.size()),
                   ErrorKind::invalid_argument, "depth");
  Tensor wide(DType::f32, {1, 3});
  EXPECT_BNQ_ERROR(run(x.view(), wide.mutable_view(), scratch.size()), ErrorKind::invalid_argument, "f32 [1, 3]",
                   "f32 [1, 2]");
  Tensor half(DType::f16, {1, 2});
  EXPECT_BNQ_ERROR(run(x.view(), half.mutable_view(), scratch.size()), ErrorKind::invalid_argument, "f16 [1, 2]",
                   "f32 [1, 2]");
  const Tensor integers(DType::i8, {1, 3});
  EXPECT_BNQ_ERROR(run(integers.view(), y.mutable_view(), scratch.size()), ErrorKind::unsupported, "i8");
}

TEST(Linear, ScratchOfAnImpossibleNumberOfTokens) {
  const Linear linear(ones("8", {2, 3}));
  EXPECT_EQ(linear.scratch_bytes(0), 0U);
  EXPECT_BNQ_ERROR(linear.scratch_bytes(-1), ErrorKind::invalid_argument, "got -1");
  EXPECT_BNQ_ERROR(linear.scratch_bytes(std::numeric_limits<std::int64_t>::max()), ErrorKind::invalid_argument, "2^63");
}

/// x, y and scratch end at guard pages, and the scratch may begin anywhere.
TEST(Linear, StaysInsideItsBuffers) {
  for (const std::int64_t depth : {1, 3, 64, 1025}) {
    const Linear linear(ones("8", {5, depth}));
    const std::vector<float> values(static_cast<std::size_t>(3 * depth), 0.5F);
    const Tensor x = make_tensor(DType::bf16, {3, depth}, values);
    const Tensor want = forward(linear, x);
    for (const auto guard : {GuardedBuffer::Guard::before, GuardedBuffer::Guard::behind}) {
      GuardedBuffer in(x.nbytes(), guard);
      GuardedBuffer out(want.nbytes(), guard);
      GuardedBuffer scratch(linear.scratch_bytes(3), guard);
      in.assign(x.bytes());
      linear.forward({in.data(), DType::bf16, {3, depth}}, {out.data(), DType::bf16, {3, 5}}, scratch.bytes());
      EXPECT_TRUE(same_bytes(out.bytes(), want.bytes()));
      std::vector<std::byte> odd(linear.scratch_bytes(3) + 1);
      linear.forward({in.data(), DType::bf16, {3, depth}}, {out.data(), DType::bf16, {3, 5}},
                     std::span(odd).subspan(1));
      EXPECT_TRUE(same_bytes(out.bytes(), want.bytes()));
    }
  }
}

TEST(Linear, ManyCallersAtOnce) {
  Random random(50);
  const ValueLimits limits{.levels = 127, .largest = 1e4F};
  const Tensor w = make_tensor(DType::f32, {64, 200}, random_values(random, Values::gaussian, {64, 200}, limits));
  const Linear linear(pack(quantize(w.view(), Scheme::parse("4"))));
  const Tensor x = make_tensor(DType::f32, {9, 200}, random_values(random, Values::gaussian, {9, 200}, limits));
  const Tensor want = forward(linear, x);
  std::vector<Tensor> outputs;
  for (int i = 0; i < 4; ++i) outputs.emplace_back(DType::f32, Shape{9, 64});
  std::vector<std::thread> threads;
  for (Tensor& y : outputs) {
    threads.emplace_back([&linear, &x, &y] {
      std::vector<std::byte> scratch(linear.scratch_bytes(9));
      for (int i = 0; i < 50; ++i) linear.forward(x.view(), y.mutable_view(), scratch);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Tensor& y : outputs) EXPECT_TRUE(same_bytes(y.bytes(), want.bytes()));
}

TEST(Linear, MovesAndOutlivesItsWeight) {
  auto weight = std::make_unique<QuantizedTensor>(ones("8", {1, 2}));
  Linear first(*weight);
  weight.reset();
  Linear second(std::move(first));
  const Tensor x = make_tensor(DType::f32, {1, 2}, {127, 127});
  EXPECT_EQ(floats_of(forward(second, x)), std::vector<float>{254});
  Linear third(ones("8", {1, 1}));
  third = std::move(second);
  EXPECT_EQ(floats_of(forward(third, x)), std::vector<float>{254});
}

TEST(Linear, CountsItsBytes) {
  const std::string kernel = Linear(ones("ternary", {64, 64})).explain();
  const std::size_t codes = kernel.find("_t2/") < kernel.find("passed over") ? 64 * 64 / 4 : 64 * 64;
  EXPECT_EQ(Linear(ones("ternary", {64, 64})).nbytes(), codes + 64 * (sizeof(float) + sizeof(std::int32_t)));
  EXPECT_EQ(Linear(ones("ternary", {0, 64})).nbytes(), 0U);
}

TEST(Linear, ExplainsItself) {
  const std::string text = Linear(ones("ternary", {4, 8})).explain();
  for (const char* part :
       {"[4, 8]", "ternary-absmean:tensor", "kernel: gemm_i8_", "instruction set: ", "passed over"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
  }
}

}  // namespace
}  // namespace bnq::test
