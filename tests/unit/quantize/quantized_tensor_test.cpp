#include "support/expect_error.h"
#include "support/packed.h"

#include <bnq/quantized_tensor.h>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace bnq::test {
namespace {

TEST(Granules, CountAndShapeOfScales) {
  const Granularity tensor = Granularity::tensor();
  const Granularity row = Granularity::row();
  const Granularity group = Granularity::group(64);
  EXPECT_EQ(scales_shape({8, 130}, tensor), (Shape{1}));
  EXPECT_EQ(scales_shape({8, 130}, row), (Shape{8, 1}));
  EXPECT_EQ(scales_shape({8, 130}, group), (Shape{8, 3}));
  EXPECT_EQ(scales_shape({2, 8, 128}, group), (Shape{2, 8, 2}));
  EXPECT_EQ(scales_shape({2, 8, 128}, row), (Shape{2, 8, 1}));
  EXPECT_EQ(scales_shape({130}, row), (Shape{1}));
  EXPECT_EQ(scales_shape({130}, group), (Shape{3}));
  EXPECT_EQ(scales_shape({}, tensor), (Shape{1}));
  EXPECT_EQ(scales_shape({}, row), (Shape{1}));
  EXPECT_EQ(scales_shape({}, group), (Shape{1}));
  EXPECT_EQ(scales_shape({4, 10}, Granularity::group(2147483647)), (Shape{4, 1}));
  EXPECT_BNQ_ERROR(scales_shape({-1, 2}, row), ErrorKind::invalid_argument, "negative");
  EXPECT_BNQ_ERROR(granule_count({1LL << 40, 1LL << 40}, row), ErrorKind::invalid_argument, "too many");
  for (const Granularity& granularity : {tensor, row, group, Granularity::group(1)}) {
    for (const Shape& shape : {Shape{}, Shape{7}, Shape{3, 5}, Shape{2, 3, 65}, Shape{0}, Shape{0, 5}, Shape{5, 0}}) {
      EXPECT_EQ(granule_count(shape, granularity), element_count(scales_shape(shape, granularity)))
          << granularity.to_string() << " " << to_string(shape);
    }
  }
}

QuantizedTensor make(const char* scheme, const Shape& shape, const Tensor& codes, const Tensor& scales) {
  return {Scheme::parse(scheme), DType::f16, shape, codes, scales};
}

TEST(QuantizedTensor, RefusesWhatDoesNotFit) {
  const Tensor codes(DType::i8, {2, 3});
  const Tensor scales(DType::f32, {2, 1});
  EXPECT_NO_THROW((void)make("8", {2, 3}, codes, scales));
  EXPECT_BNQ_ERROR(make("8", {3, 2}, codes, scales), ErrorKind::invalid_argument, "[2, 3]", "[3, 2]");
  EXPECT_BNQ_ERROR(make("8", {6}, codes, scales), ErrorKind::invalid_argument, "codes of another shape");
  EXPECT_BNQ_ERROR(make("8", {2, 3}, Tensor(DType::u8, {2, 3}), scales), ErrorKind::invalid_argument, "u8", "i8");
  EXPECT_BNQ_ERROR(make("8:tensor", {2, 3}, codes, scales), ErrorKind::invalid_argument, "scales of another shape");
  EXPECT_BNQ_ERROR(make("8", {2, 3}, codes, Tensor(DType::f32, {2})), ErrorKind::invalid_argument, "[2, 1]");
  EXPECT_BNQ_ERROR(make("8", {2, 3}, codes, Tensor(DType::f16, {2, 1})), ErrorKind::invalid_argument, "f16", "f32");
  EXPECT_BNQ_ERROR(QuantizedTensor(Scheme::parse("8"), DType::f64, {2, 3}, codes, scales), ErrorKind::unsupported,
                   "f64");
}

TEST(QuantizedTensor, RefusesScalesThatAreNone) {
  for (const float bad : {-1e-30F, std::nanf(""), std::numeric_limits<float>::infinity()}) {
    Tensor scales(DType::f32, {2, 1});
    scales.data<float>()[1] = bad;
    EXPECT_BNQ_ERROR(make("8", {2, 3}, Tensor(DType::i8, {2, 3}), scales), ErrorKind::invalid_argument, "scale 1",
                     "finite");
  }
}

TEST(QuantizedTensor, RefusesForeignCodes) {
  EXPECT_BNQ_ERROR(quantized(Scheme::parse("8"), {2, 2}, {0, 1, -128, 2}), ErrorKind::invalid_argument,
                   "-128 at [1, 0]", "-127 to 127");
  EXPECT_BNQ_ERROR(quantized(Scheme::parse("ternary"), {3}, {0, 1, 2}), ErrorKind::invalid_argument, "2 at [2]");
  EXPECT_BNQ_ERROR(quantized(Scheme::parse("binary"), {3}, {-1, 0, 1}), ErrorKind::invalid_argument, "0 at [1]",
                   "without 0");
  EXPECT_NO_THROW((void)quantized(Scheme::activations(), {1, 2}, {-128, 127}));
}

TEST(QuantizedTensor, SizesCountScales) {
  const QuantizedTensor q = quantized(Scheme::parse("4:group(8)"), {2, 20}, std::vector<int>(40, 1));
  EXPECT_EQ(q.rows(), 2);
  EXPECT_EQ(q.depth(), 20);
  EXPECT_EQ(q.nbytes(), 40U + 6U * 4U);
  EXPECT_EQ(q.bits_per_weight(), 4 + 6 * 32 / 40.0);
  EXPECT_EQ(quantized(Scheme::parse("ternary"), {4, 8}, std::vector<int>(32, 0)).bits_per_weight(), 2 + 32 / 32.0);
  EXPECT_EQ(quantized(Scheme::parse("binary"), {64}, std::vector<int>(64, 1)).bits_per_weight(), 1 + 32 / 64.0);
}

}  // namespace
}  // namespace bnq::test
