#include "support/expect_error.h"
#include "support/oracle_bridge.h"
#include "support/packed.h"

#include <bnq/layout.h>

#include <gtest/gtest.h>

namespace bnq::test {
namespace {

TEST(Layout, NamesSmallestFirst) {
  std::vector<std::string> names;
  for (const Layout& layout : Layout::all()) {
    names.emplace_back(layout.name());
    EXPECT_EQ(Layout::parse(layout.name()), layout);
    EXPECT_FALSE(layout.about().empty());
  }
  EXPECT_EQ(names, (std::vector<std::string>{"u1", "u2_hf", "i32_ct", "i8", "tq1_0", "tq2_0", "q2_0", "q4_0", "q8_0",
                                             "iq2_bn", "i2_s", "i2_s_arm", "i2_s_1x4", "u2_ort", "u4_ort", "u8_ort"}));
}

TEST(Layout, UnknownNamesAreRefusedWithTheList) {
  for (const char* text : {"", "I8", "i8 ", "u2", "TQ2_0", "\x1b[31m"}) {
    EXPECT_BNQ_ERROR(Layout::parse(text), ErrorKind::invalid_argument, "layout: unknown", "u1, u2_hf, i32_ct, i8");
  }
}

TEST(Layout, StorageOfEach) {
  const Scheme ternary = Scheme::parse("ternary");
  EXPECT_EQ(Layout::parse("u2_hf").storage_dtype(), DType::u8);
  EXPECT_EQ(Layout::parse("u2_hf").storage_shape(ternary, {256, 512}), (Shape{64, 512}));
  EXPECT_EQ(Layout::parse("u2_hf").storage_bytes(ternary, {256, 512}), 64U * 512U);
  EXPECT_EQ(Layout::parse("i8").storage_dtype(), DType::i8);
  EXPECT_EQ(Layout::parse("i8").storage_shape(ternary, {2, 3, 5}), (Shape{2, 3, 5}));
  EXPECT_EQ(Layout::parse("i8").storage_shape(ternary, {}), Shape{});
  EXPECT_EQ(Layout::parse("i8").storage_bytes(ternary, {}), 1U);
  EXPECT_EQ(Layout::parse("u1").storage_dtype(), DType::u8);
  EXPECT_EQ(Layout::parse("u1").storage_shape(Scheme::parse("1"), {3, 17}), (Shape{3, 3}));
  EXPECT_EQ(Layout::parse("i32_ct").storage_dtype(), DType::i32);
  EXPECT_EQ(Layout::parse("i32_ct").storage_shape(Scheme::parse("4"), {3, 8}), (Shape{3, 1}));
  EXPECT_EQ(Layout::parse("i32_ct").storage_shape(Scheme::parse("4"), {3, 9}), (Shape{3, 2}));
  EXPECT_EQ(Layout::parse("i32_ct").storage_shape(Scheme::parse("3"), {7, 2, 32}), (Shape{7, 2, 3}));
  EXPECT_EQ(Layout::parse("i32_ct").storage_bytes(Scheme::parse("7"), {2, 33}), 2U * 4U * 8U);
  EXPECT_EQ(Layout::parse("u2_ort").storage_shape(Scheme::parse("ternary:group(32)"), {3, 65}), (Shape{3, 3, 8}));
  EXPECT_EQ(Layout::parse("u8_ort").storage_shape(Scheme::parse("8:group(16)"), {3, 16}), (Shape{3, 1, 16}));
}

/// ceil(depth * bits / 32) words, for depths at which that product does not fit in 63 bits.
TEST(Layout, StorageOfHugeShapesDoesNotWrap) {
  constexpr std::int64_t depth = std::int64_t{1} << 62;
  EXPECT_EQ(Layout::parse("i32_ct").storage_shape(Scheme::parse("7"), {depth}).back(), depth / 32 * 7);
  EXPECT_EQ(Layout::parse("u1").storage_shape(Scheme::parse("1"), {depth + 1}).back(), depth / 8 + 1);
}

TEST(Layout, RefusalsSayWhy) {
  const Layout u2_hf = Layout::parse("u2_hf");
  const Scheme ternary = Scheme::parse("ternary");
  EXPECT_EQ(u2_hf.refusal(ternary, {8, 3}), "");
  EXPECT_EQ(u2_hf.refusal(ternary, {0, 3}), "");
  EXPECT_EQ(u2_hf.refusal(Scheme::parse("int2:tensor"), {8, 3}), "");
  EXPECT_NE(u2_hf.refusal(ternary, {6, 3}).find("multiples of 4, the tensor has 6"), std::string::npos);
  EXPECT_NE(u2_hf.refusal(ternary, {4}).find("two axes"), std::string::npos);
  EXPECT_NE(u2_hf.refusal(ternary, {4, 2, 2}).find("two axes"), std::string::npos);
  EXPECT_NE(u2_hf.refusal(Scheme::parse("ternary:row"), {8, 3}).find("one scale"), std::string::npos);
  EXPECT_NE(u2_hf.refusal(Scheme::parse("8:tensor"), {8, 3}).find("needs codes -1, 0, +1"), std::string::npos);
  EXPECT_NE(u2_hf.refusal(Scheme::parse("binary"), {8, 3}).find("needs codes -1, 0, +1"), std::string::npos);
  EXPECT_NE(Layout::parse("u1").refusal(ternary, {8, 3}).find("binary"), std::string::npos);
  EXPECT_NE(Layout::parse("u1").refusal(Scheme::parse("1"), {}).find("axis"), std::string::npos);
  EXPECT_NE(Layout::parse("i32_ct").refusal(Scheme::parse("8"), {8, 3}).find("2 to 7 bits"), std::string::npos);
  EXPECT_NE(Layout::parse("i32_ct").refusal(Scheme::parse("1"), {8, 3}).find("2 to 7 bits"), std::string::npos);
  EXPECT_NE(Layout::parse("i32_ct").refusal(Scheme::parse("4"), {}).find("axis"), std::string::npos);
  for (const Scheme& scheme : Scheme::all()) EXPECT_EQ(Layout::parse("i8").refusal(scheme, {}), "");
  const Layout u2_ort = Layout::parse("u2_ort");
  EXPECT_EQ(u2_ort.refusal(Scheme::parse("ternary:group(256)"), {3, 5}), "");
  EXPECT_NE(u2_ort.refusal(Scheme::parse("ternary:group(16)"), {3}).find("two axes"), std::string::npos);
  EXPECT_NE(u2_ort.refusal(Scheme::parse("4:group(16)"), {3, 5}).find("from -2 to 1"), std::string::npos);
  for (const char* granularity : {"tensor", "row", "group(8)", "group(48)", "group(512)"}) {
    const Scheme scheme = ternary.with(Granularity::parse(granularity));
    EXPECT_NE(u2_ort.refusal(scheme, {3, 5}).find(std::string("not by ") + granularity), std::string::npos);
  }
}

/// What does not fit is refused, and the message names every layout that could hold it.
TEST(Pack, RefusalNamesTheLayoutsThatCan) {
  for (const Scheme& rule : Scheme::all()) {
    for (const Granularity& granularity : {Granularity::tensor(), Granularity::row(), Granularity::group(3)}) {
      for (const Shape& shape : {Shape{}, Shape{4}, Shape{4, 4}, Shape{6, 4}, Shape{4, 2, 2}}) {
        const Scheme scheme = rule.with(granularity);
        const auto elements = static_cast<std::size_t>(element_count(shape));
        const QuantizedTensor q = quantized(scheme, shape, std::vector<int>(elements, 1));
        std::string can;
        for (const Layout& layout : Layout::all()) {
          const bool writes = !layout.is_read_only();
          if (writes && layout.refusal(scheme, shape).empty())
            can += (can.empty() ? "" : ", ") + std::string(layout.name());
        }
        for (const Layout& layout : Layout::all()) {
          if (layout.is_read_only() && layout.refusal(scheme, shape).empty()) {
            EXPECT_BNQ_ERROR(pack(q, layout), ErrorKind::unsupported, layout.name(), "read, not written", can);
          } else if (layout.refusal(scheme, shape).empty()) {
            EXPECT_TRUE(same_values(unpack(pack(q, layout)), q)) << layout.name();
          } else {
            EXPECT_BNQ_ERROR(pack(q, layout), ErrorKind::unsupported, layout.name(), layout.refusal(scheme, shape),
                             "layouts that can: " + can);
          }
        }
      }
    }
  }
}

TEST(Pack, WithoutALayoutTakesTheSmallest) {
  const auto chosen = [](const char* scheme, const Shape& shape) {
    const auto elements = static_cast<std::size_t>(element_count(shape));
    return std::string(pack(quantized(Scheme::parse(scheme), shape, std::vector<int>(elements, 1))).layout().name());
  };
  EXPECT_EQ(chosen("8", {4, 4}), "i8");
  EXPECT_EQ(chosen("7", {4, 4}), "i32_ct");
  EXPECT_EQ(chosen("2", {4, 4}), "i32_ct");
  EXPECT_EQ(chosen("ternary", {4, 4}), "u2_hf");
  EXPECT_EQ(chosen("ternary", {5, 4}), "i32_ct");
  EXPECT_EQ(chosen("ternary:row", {4, 4}), "i32_ct");
  EXPECT_EQ(chosen("ternary", {}), "i8");
  EXPECT_EQ(chosen("binary", {4, 4}), "u1");
  EXPECT_EQ(chosen("int8-token", {4, 4}), "i8");
}

}  // namespace
}  // namespace bnq::test
