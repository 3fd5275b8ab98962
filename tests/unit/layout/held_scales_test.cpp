// Scales that lie among the codes: where they go, how they are rounded, and when several are one.

#include "oracle/float16.h"
#include "support/expect_error.h"
#include "support/hex.h"
#include "support/oracle_bridge.h"
#include "support/packed.h"
#include "support/random.h"

#include <bnq/layout.h>
#include <bnq/linear.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace bnq::test {
namespace {

const Layout tq2_0 = Layout::parse("tq2_0");

/// Codes +1 everywhere, the given scales.
QuantizedTensor with_scales(const Scheme& scheme, const Shape& shape, const std::vector<float>& scales, int code = 1) {
  Tensor codes(DType::i8, shape);
  std::ranges::fill(codes.data<std::int8_t>(), static_cast<std::int8_t>(code));
  Tensor scale_tensor(DType::f32, scales_shape(shape, scheme.granularity()));
  std::ranges::copy(scales, scale_tensor.data<float>().begin());
  return {scheme, DType::f32, shape, std::move(codes), std::move(scale_tensor)};
}

std::vector<float> scales_of(const QuantizedTensor& q) { return {q.scales().begin(), q.scales().end()}; }

TEST(HeldScales, GoToTheBlocksOfTheirGranule) {
  struct Case {
    const char* scheme;
    std::vector<float> scales;
  };
  for (const Case& c :
       {Case{"ternary", {2}}, Case{"ternary:row", {2, 3}}, Case{"ternary:group(256)", {2, 3, 4, 5, 6, 7}},
        Case{"ternary:group(512)", {2, 3, 4, 5}}, Case{"ternary:group(1000)", {2, 3}}}) {
    const QuantizedTensor q = with_scales(Scheme::parse(c.scheme), {2, 768}, c.scales);
    const PackedTensor p = pack(q, tq2_0);
    EXPECT_TRUE(same_bytes(p.data(), as_bytes(oracle::pack("tq2_0", code_table(q))))) << c.scheme;
    EXPECT_EQ(scales_of(unpack(p)), c.scales) << c.scheme;
    EXPECT_TRUE(p.scales().empty());
    EXPECT_EQ(p.nbytes(), 6U * 66U);
    EXPECT_EQ(p.bits_per_weight(), 2.0625);
  }
}

TEST(HeldScales, RefuseGranulesThatEndInACell) {
  const auto refusal = [](const char* layout, const char* granularity) {
    return Layout::parse(layout).refusal(Scheme::parse("ternary").with(Granularity::parse(granularity)), {4, 768});
  };
  EXPECT_EQ(refusal("tq2_0", "group(64)"), "has one scale for 256 codes, and group(64) is no multiple of 256");
  EXPECT_NE(refusal("tq2_0", "group(384)"), "");
  EXPECT_EQ(refusal("tq2_0", "group(768)"), "");
  EXPECT_EQ(refusal("tq2_0", "group(1000)"), "");
  EXPECT_EQ(refusal("q8_0", "group(64)"), "");
  EXPECT_EQ(refusal("iq2_bn", "row"), "");
  EXPECT_EQ(refusal("iq2_bn", "group(768)"), "");
  EXPECT_EQ(refusal("iq2_bn", "group(64)"), "has one scale a row, group(64) needs more");
  EXPECT_EQ(refusal("i2_s", "tensor"), "");
  EXPECT_EQ(refusal("i2_s", "row"), "has one scale, row needs more");
  EXPECT_NE(refusal("i2_s", "group(1000)"), "");
}

/// Rounded half to even to f16, and the largest relative difference is told.
TEST(HeldScales, AreRoundedAndToldSo) {
  Random random(43);
  for (int round = 0; round < 200; ++round) {
    std::vector<float> scales(6);
    for (float& scale : scales)
      scale = static_cast<float>(std::ldexp(1 + random.unit(), static_cast<int>(random.integer(-20, 14))));
    const QuantizedTensor q = with_scales(Scheme::parse("ternary:group(256)"), {2, 768}, scales);
    const PackedTensor p = pack(q, tq2_0);
    double worst = 0;
    for (float& scale : scales) {
      const float stored = oracle::rounded_to("f16", scale);
      worst = std::max(
          worst, std::fabs(static_cast<double>(stored) - static_cast<double>(scale)) / static_cast<double>(scale));
      scale = stored;
    }
    ASSERT_EQ(scales_of(unpack(p)), scales) << random.describe();
    ASSERT_EQ(p.scale_error(), worst) << random.describe();
    ASSERT_GT(p.scale_error(), 0);
    ASSERT_EQ(pack(unpack(p), tq2_0).scale_error(), 0);
  }
}

TEST(HeldScales, ThatHaveNoPlaceAreRefused) {
  for (const float scale : {65520.0F, 1e38F, 0x1p-25F, 1e-30F}) {
    const QuantizedTensor q = with_scales(Scheme::parse("ternary:row"), {2, 256}, {1, scale});
    EXPECT_BNQ_ERROR(pack(q, tq2_0), ErrorKind::unsupported, "pack tq2_0", "a scale that f16 cannot hold",
                     "from [1, 0] on", "such as i8");
    EXPECT_EQ(pack(q, Layout::parse("iq2_bn")).scale_error(), 0);
  }
  for (const float scale : {65504.0F, 65519.0F, 0x1.8p-25F, 0x1p-24F, 0.0F}) {
    EXPECT_NO_THROW((void)pack(with_scales(Scheme::parse("ternary:row"), {2, 256}, {1, scale}), tq2_0));
  }
}

/// The values of a block without a code other than 0 are 0 whatever its scale.
TEST(HeldScales, OfZerosCountInNoError) {
  for (const float scale : {1e38F, 1e-30F, 0x1p-126F, 0.1F}) {
    const PackedTensor p = pack(with_scales(Scheme::parse("8:row"), {1, 32}, {scale}, 0), Layout::parse("q8_0"));
    EXPECT_EQ(p.scale_error(), 0);
    EXPECT_EQ(scales_of(unpack(p)), std::vector<float>{scale == 0.1F ? oracle::rounded_to("f16", 0.1F) : 0.0F});
  }
}

/// A row of two blocks: the first code and the scale of each.
PackedTensor two_blocks(const char* scheme, std::array<int, 2> codes, std::array<float, 2> scales) {
  std::vector<int> all(512, 0);
  all[0] = codes[0];
  all[256] = codes[1];
  Tensor code_tensor(DType::i8, {1, 512});
  std::ranges::copy(all, code_tensor.data<std::int8_t>().begin());
  Tensor scale_tensor(DType::f32, {1, 2});
  std::ranges::copy(scales, scale_tensor.data<float>().begin());
  const QuantizedTensor q(Scheme::parse("ternary:group(256)"), DType::f32, {1, 512}, std::move(code_tensor),
                          std::move(scale_tensor));
  const PackedTensor p = pack(q, tq2_0);
  return packed("tq2_0", Scheme::parse(scheme), {1, 512}, {p.data().begin(), p.data().end()});
}

/// ggml gives a block without weights the scale 0.
TEST(HeldScales, CellsOfZerosSayNothing) {
  for (const char* scheme : {"ternary", "ternary:row", "ternary:group(512)"}) {
    EXPECT_EQ(scales_of(unpack(two_blocks(scheme, {1, 1}, {2, 2}))), std::vector<float>{2});
    EXPECT_EQ(scales_of(unpack(two_blocks(scheme, {1, 0}, {2, 0}))), std::vector<float>{2});
    EXPECT_EQ(scales_of(unpack(two_blocks(scheme, {0, 1}, {0, 2}))), std::vector<float>{2});
    EXPECT_EQ(scales_of(unpack(two_blocks(scheme, {0, 1}, {2, 2}))), std::vector<float>{2});
    EXPECT_EQ(scales_of(unpack(two_blocks(scheme, {0, 0}, {3, 2}))), std::vector<float>{3});
    EXPECT_BNQ_ERROR(unpack(two_blocks(scheme, {1, 1}, {2, 3})), ErrorKind::bad_content, "more than one scale",
                     "3 from [0, 256] on", "need 2", "read it as ternary-absmean:group(256)");
    EXPECT_BNQ_ERROR(unpack(two_blocks(scheme, {1, 1}, {2, 0})), ErrorKind::bad_content, "more than one scale");
  }
  EXPECT_EQ(scales_of(unpack(two_blocks("ternary:group(256)", {1, 1}, {2, 3}))), (std::vector<float>{2, 3}));
}

TEST(HeldScales, ThatAreNoScalesAreRefused) {
  for (const char* bad : {"007c", "00fc", "007e", "00c0"}) {  // inf, -inf, NaN, -2
    std::vector<std::byte> bytes(66, std::byte{0x55});
    std::ranges::copy(from_hex(bad), bytes.begin() + 64);
    EXPECT_BNQ_ERROR(unpack(packed("tq2_0", Scheme::parse("ternary"), {256}, bytes)), ErrorKind::bad_content,
                     "unpack tq2_0", "no scale", "from [0] on", "0 or more");
  }
  std::vector<std::byte> bytes(18, std::byte{0x88});
  std::ranges::copy(from_hex("00fe"), bytes.begin());  // a NaN whose sign would turn codes
  EXPECT_BNQ_ERROR(unpack(packed("q4_0", Scheme::parse("int5-given:row"), {32}, bytes)), ErrorKind::bad_content,
                   "no scale");
}

TEST(HeldScales, AreNotHandedOver) {
  const std::vector<std::byte> block(66);
  EXPECT_BNQ_ERROR(
      PackedTensor(tq2_0, Scheme::parse("ternary"), DType::f32, {256}, block, nullptr, Tensor(DType::f32, {1})),
      ErrorKind::invalid_argument, "tq2_0", "leave the scales out");
  EXPECT_BNQ_ERROR(PackedTensor(Layout::parse("i8"), Scheme::parse("8"), DType::f32, {66}, block, nullptr),
                   ErrorKind::invalid_argument, "scales are missing");
  EXPECT_BNQ_ERROR(PackedTensor(tq2_0, Scheme::parse("ternary"), DType::f32, {512}, block, nullptr),
                   ErrorKind::invalid_argument, "got 66, need 132");
}

TEST(HeldScales, ALayerIsMadeOfThem) {
  const QuantizedTensor q = with_scales(Scheme::parse("ternary:group(256)"), {2, 512}, {1, 2, 3, 4});
  const Linear layer(pack(q, tq2_0));
  const Tensor x = make_tensor(DType::f32, {1, 512}, std::vector<float>(512, 1.0F));
  Tensor got(DType::f32, {1, 2});
  Tensor want(DType::f32, {1, 2});
  std::vector<std::byte> scratch(layer.scratch_bytes(1));
  layer.forward(x.view(), got.mutable_view(), scratch);
  Linear(q).forward(x.view(), want.mutable_view(), scratch);
  EXPECT_TRUE(same_bytes(got.bytes(), want.bytes()));
  EXPECT_NE(layer.explain().find("weights: unpacked from tq2_0"), std::string::npos);
  EXPECT_EQ(Linear(q).explain().find("unpacked"), std::string::npos);
}

}  // namespace
}  // namespace bnq::test
