#include "support/expect_error.h"
#include "support/packed.h"
#include "support/tensors.h"

#include <bnq/quantize.h>

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace bnq::test {
namespace {

const float largest = std::numeric_limits<float>::max();

struct Held {
  std::vector<float> values;
  std::int64_t count;
};

Held dequantize_to(DType dtype, const char* scheme, const std::vector<int>& codes, float scale) {
  const QuantizedTensor q = quantized(Scheme::parse(scheme), {static_cast<std::int64_t>(codes.size())}, codes, scale);
  Tensor out(dtype, q.shape());
  const std::int64_t count = dequantize_into(q, out.mutable_view());
  return {floats_of(out), count};
}

TEST(Dequantize, IsCodeTimesScaleRoundedOnce) {
  const Held f32 = dequantize_to(DType::f32, "8", {-127, 0, 3}, 0.1F);
  EXPECT_EQ(f32.values, (std::vector<float>{-127 * 0.1F, 0.0F, 3 * 0.1F}));
  const Held bf16 = dequantize_to(DType::bf16, "8", {3}, 0.1F);
  EXPECT_EQ(bf16.values, std::vector<float>{oracle::rounded_to("bf16", 3 * 0.1F)});
}

TEST(Dequantize, HoldsAtTheLargestFiniteNumberAndCounts) {
  const Held f16 = dequantize_to(DType::f16, "8", {127, -127, 1, 0}, 600.0F);
  EXPECT_EQ(f16.values, (std::vector<float>{65504, -65504, 600, 0}));
  EXPECT_EQ(f16.count, 2);
  const Held exact = dequantize_to(DType::f16, "8", {1, -1}, 65504.0F);
  EXPECT_EQ(exact.values, (std::vector<float>{65504, -65504}));
  EXPECT_EQ(exact.count, 0);
  const Held above = dequantize_to(DType::f16, "8", {1}, 65505.0F);
  EXPECT_EQ(above.values, std::vector<float>{65504});
  EXPECT_EQ(above.count, 1);
  const Held bf16 = dequantize_to(DType::bf16, "8", {2, -2, 1}, 0x1.FEp126F);
  EXPECT_EQ(bf16.values, (std::vector<float>{0x1.FEp127F, -0x1.FEp127F, 0x1.FEp126F}));
  EXPECT_EQ(bf16.count, 0);
  const Held past_bf16 = dequantize_to(DType::bf16, "8", {1, -1}, largest);
  EXPECT_EQ(past_bf16.values, (std::vector<float>{0x1.FEp127F, -0x1.FEp127F}));
  EXPECT_EQ(past_bf16.count, 2);
  const Held f32 = dequantize_to(DType::f32, "8", {2, -127, 1}, largest);
  EXPECT_EQ(f32.values, (std::vector<float>{largest, -largest, largest}));
  EXPECT_EQ(f32.count, 2);
}

TEST(Dequantize, CountsOverManyBlocks) {
  const Held held = dequantize_to(DType::f16, "8", std::vector<int>(300'001, 127), 1000.0F);
  EXPECT_EQ(held.count, 300'001);
  EXPECT_EQ(held.values.back(), 65504);
}

TEST(Dequantize, GivesBackDtypeAndShape) {
  for (const DType dtype : float_dtypes) {
    const Tensor tensor = make_tensor(dtype, {2, 1, 3}, {1, 2, 3, 4, 5, 6});
    const Tensor back = dequantize(quantize(tensor.view(), Scheme::parse("8")));
    EXPECT_EQ(back.dtype(), dtype);
    EXPECT_EQ(back.shape(), tensor.shape());
    EXPECT_EQ(dequantize(quantize(tensor.view(), Scheme::parse("8")), DType::f32).dtype(), DType::f32);
  }
}

TEST(Dequantize, RefusesWhatDoesNotFit) {
  const QuantizedTensor q = quantized(Scheme::parse("8"), {2, 3}, std::vector<int>(6, 1));
  Tensor out(DType::f32, {3, 2});
  EXPECT_BNQ_ERROR(dequantize_into(q, out.mutable_view()), ErrorKind::invalid_argument, "[3, 2]", "[2, 3]");
  EXPECT_BNQ_ERROR(dequantize(q, DType::f64), ErrorKind::unsupported, "f64", "f32, f16 or bf16");
  EXPECT_BNQ_ERROR(dequantize(q, DType::i8), ErrorKind::unsupported, "i8");
}

}  // namespace
}  // namespace bnq::test
