// The numbers and the corner cases of docs/schemes.rst, row by row.

#include "support/expect_error.h"
#include "support/packed.h"
#include "support/tensors.h"

#include <bnq/quantize.h>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace bnq::test {
namespace {

QuantizedTensor quantize_row(const std::vector<float>& values, const char* scheme) {
  const Tensor tensor = make_tensor(DType::f32, {static_cast<std::int64_t>(values.size())}, values);
  return quantize(tensor.view(), Scheme::parse(scheme));
}

/// `scale` to the seven digits of the page: within one unit of the last.
void expect(const char* scheme, const std::vector<float>& values, double scale, const std::vector<int>& codes) {
  const QuantizedTensor q = quantize_row(values, scheme);
  EXPECT_EQ(codes_of(q), codes) << scheme;
  ASSERT_EQ(q.scales().size(), 1U);
  EXPECT_NEAR(static_cast<double>(q.scales()[0]), scale, 1e-7 * scale * 5) << scheme;
}

TEST(WorkedExamples, OfThePage) {
  const std::vector<float> w{0.30F, -0.05F, 0.10F, -0.40F, 0.20F, -0.10F, 0.0F, 0.25F};
  expect("8", w, 0.003149606, {95, -16, 32, -127, 64, -32, 0, 79});
  expect("4:row", w, 0.05714286, {5, -1, 2, -7, 4, -2, 0, 4});
  expect("2:row", w, 0.4, {1, 0, 0, -1, 0, 0, 0, 1});
  expect("ternary", w, 0.175, {1, 0, 1, -1, 1, -1, 0, 1});
  expect("binary", w, 0.175, {1, -1, 1, -1, 1, -1, -1, 1});
  const std::vector<float> x{0.5F, -1.27F, 0.005F, 1.0F, -0.995F, 0.015F};
  expect("int8-token", x, 0.01, {50, -127, 0, 100, -100, 2});
}

struct Corner {
  const char* scheme;
  std::vector<float> values;
  std::vector<int> codes;
  float scale;
  std::int64_t floored;
  std::int64_t prequantized;
};

void expect(const Corner& corner) {
  const QuantizedTensor q = quantize_row(corner.values, corner.scheme);
  EXPECT_EQ(codes_of(q), corner.codes) << corner.scheme;
  EXPECT_EQ(oracle::f32_bits(q.scales()[0]), oracle::f32_bits(corner.scale))
      << corner.scheme << " " << q.scales()[0] << " " << corner.scale;
  EXPECT_EQ(q.counts().floored_granules, corner.floored) << corner.scheme;
  EXPECT_EQ(q.counts().prequantized_granules, corner.prequantized) << corner.scheme;
}

TEST(CornerCases, AllZero) {
  const std::vector<float> zeros{0.0F, -0.0F, 0.0F};
  for (const char* bits : {"8", "7", "6", "5", "4", "3", "2"}) expect({bits, zeros, {0, 0, 0}, 0x1p-126F, 1, 0});
  expect({"ternary", zeros, {0, 0, 0}, 1e-5F, 1, 0});
  expect({"binary", zeros, {-1, -1, -1}, 0.0F, 0, 0});
  expect({"int8-token", zeros, {0, 0, 0}, 1e-5F / 127.0F, 1, 0});
  for (const Scheme& scheme : Scheme::all()) {
    const Tensor tensor = make_tensor(DType::f32, {3}, zeros);
    for (const float value : floats_of(dequantize(quantize(tensor.view(), scheme)))) EXPECT_EQ(value, 0.0F);
  }
}

TEST(CornerCases, OneElement) {
  for (const float a : {0.75F, 1e-3F, 1e30F}) {
    for (int bits = 2; bits <= 8; ++bits) {
      const std::string text = std::to_string(bits);
      const int q = (1 << (bits - 1)) - 1;
      expect({text.c_str(), {a}, {q}, a / static_cast<float>(q), 0, 0});
      expect({text.c_str(), {-a}, {-q}, a / static_cast<float>(q), 0, 0});
    }
    expect({"ternary", {a}, {1}, a, 0, 1});
    expect({"ternary", {-a}, {-1}, a, 0, 1});
    expect({"binary", {a}, {-1}, a, 0, 0});
    expect({"binary", {-a}, {-1}, a, 0, 0});
    expect({"int8-token", {a}, {127}, a / 127.0F, 0, 0});
    expect({"int8-token", {-a}, {-127}, a / 127.0F, 0, 0});
  }
}

TEST(CornerCases, AlreadyTernary) {
  const float a = 0.3F;
  expect({"8", {a, -a, 0, a}, {127, -127, 0, 127}, a / 127.0F, 0, 0});
  expect({"ternary", {a, -a, 0, a}, {1, -1, 0, 1}, a, 0, 1});
  expect({"ternary", {a, a, a}, {1, 1, 1}, a, 0, 1});
  expect({"int8-token", {a, -a, 0, a}, {127, -127, 0, 127}, a / 127.0F, 0, 0});
  // the rule is checked before the floor, down to the smallest subnormal
  expect({"ternary", {1e-7F, 0, -1e-7F}, {1, 0, -1}, 1e-7F, 0, 1});
  expect({"ternary", {0x1p-149F, 0, -0x1p-149F}, {1, 0, -1}, 0x1p-149F, 0, 1});
  expect({"ternary", {0x1.FFFFFEp127F, 0, 0}, {1, 0, 0}, 0x1.FFFFFEp127F, 0, 1});
  // one value off by one bit: not ternary
  expect({"ternary", {1.0F, 0x1.000002p0F}, {1, 1}, static_cast<float>((1.0 + 0x1.000002p0) / 2), 0, 0});
  // all but one value are zero: {0, a}
  expect({"ternary", {0, 0, 0, 5.0F}, {0, 0, 0, 1}, 5.0F, 0, 1});
}

TEST(CornerCases, Floors) {
  const float tiny = 0x1p-130F;
  expect({"8", {tiny, -tiny / 2}, {0, 0}, 0x1p-126F, 1, 0});
  expect({"8", {127 * 0x1p-126F, 0x1p-126F}, {127, 1}, 0x1p-126F, 0, 0});  // exactly at the floor: its own scale
  expect({"8", {126 * 0x1p-126F, 0x1p-126F}, {126, 1}, 0x1p-126F, 1, 0});
  expect({"ternary", {8e-6F, 3e-6F, -6e-6F}, {1, 0, -1}, 1e-5F, 1, 0});
  expect({"ternary", {4.9e-6F, -1e-30F}, {0, 0}, 1e-5F, 1, 0});
  expect({"int8-token", {1e-5F, -5e-6F}, {127, -64}, 1e-5F / 127.0F, 0, 0});
  expect({"int8-token", {9e-6F, -1e-8F}, {114, 0}, 1e-5F / 127.0F, 1, 0});
  expect({"binary", {tiny, -tiny}, {1, -1}, tiny, 0, 0});
}

TEST(CornerCases, Ties) {
  expect({"8", {127.0F, 0.5F, 1.5F, -0.5F, -2.5F}, {127, 0, 2, 0, -2}, 1.0F, 0, 0});
  expect({"ternary", {0.5F, -0.5F, 1.5F, -1.5F}, {0, 0, 1, -1}, 1.0F, 0, 0});
  expect({"int8-token", {127.0F, 0.5F, 1.5F, -126.5F}, {127, 0, 2, -126}, 1.0F, 0, 0});
  expect({"binary", {1.0F, 2.0F, 3.0F}, {-1, -1, 1}, 2.0F, 0, 0});  // at the mean: not above it
}

TEST(CornerCases, LargestNumbers) {
  const float largest = std::numeric_limits<float>::max();
  expect({"8", {largest, -largest}, {127, -127}, largest / 127.0F, 0, 0});
  expect({"ternary", {largest, -largest, largest / 4}, {1, -1, 0}, 0x1.7FFFFEp127F, 0, 0});
  expect({"binary", {largest, -largest, largest}, {1, -1, 1}, largest, 0, 0});
  expect({"int8-token", {largest, -largest / 2}, {127, -64}, largest / 127.0F, 0, 0});
}

/// 1 / g and not a division by g: just above g / 2 the two give other codes.
TEST(CornerCases, TernaryMultipliesByTheReciprocal) {
  int different = 0;
  for (int i = 0; i < 2000; ++i) {
    const float g = 1.0F + static_cast<float>(i) * 0x1p-11F;
    const float w = std::nextafter(g / 2, 2.0F);
    const QuantizedTensor q = quantize_row({w, 2 * g - w}, "ternary");
    if (q.scales()[0] != g) continue;
    const float product = w * (1.0F / g);
    const float quotient = w / g;
    different += (product > 0.5F) != (quotient > 0.5F) ? 1 : 0;
    EXPECT_EQ(q.codes()[0], product > 0.5F ? 1 : 0) << i;
  }
  EXPECT_GT(different, 0);  // or this test shows nothing
}

}  // namespace
}  // namespace bnq::test
