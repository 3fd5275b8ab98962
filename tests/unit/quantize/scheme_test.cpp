#include "support/expect_error.h"

#include <bnq/quantize.h>
#include <bnq/scheme.h>

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace bnq::test {
namespace {

TEST(Granularity, ParseAndPrint) {
  for (const char* text : {"tensor", "row", "group(1)", "group(64)", "group(2147483647)"}) {
    EXPECT_EQ(Granularity::parse(text).to_string(), text);
  }
  EXPECT_EQ(Granularity::parse("group(64)"), Granularity::group(64));
  EXPECT_NE(Granularity::group(64), Granularity::group(32));
  EXPECT_NE(Granularity::row(), Granularity::tensor());
}

TEST(Granularity, RefusesTheRestWithTheList) {
  for (const char* text :
       {"", "Tensor", "rows", "group", "group()", "group(0)", "group(-1)", "group(2147483648)", "group(64", "group 64",
        "group( 64)", "group(64) ", "group(6.4)", "group(64)(2)", "group(x)", "group(99999999999999999999)", " row"}) {
    EXPECT_BNQ_ERROR(Granularity::parse(text), ErrorKind::invalid_argument, "granularity", text,
                     "tensor, row or group(n)");
  }
  for (const std::int64_t size : {std::int64_t{0}, std::int64_t{-64}, std::int64_t{1} << 31}) {
    EXPECT_BNQ_ERROR(Granularity::group(size), ErrorKind::invalid_argument, std::to_string(size));
  }
}

TEST(Scheme, EverySpelling) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> spellings{
      {{"8", "int8", "int8-absmax"}, "int8-absmax:row"},
      {{"7", "int7", "int7-absmax"}, "int7-absmax:row"},
      {{"6", "int6", "int6-absmax"}, "int6-absmax:row"},
      {{"5", "int5", "int5-absmax"}, "int5-absmax:row"},
      {{"4", "int4", "int4-absmax"}, "int4-absmax:group(64)"},
      {{"3", "int3", "int3-absmax"}, "int3-absmax:group(64)"},
      {{"2", "int2", "int2-absmax"}, "int2-absmax:group(64)"},
      {{"1.58", "ternary", "ternary-absmean"}, "ternary-absmean:tensor"},
      {{"1", "binary", "binary-absmean"}, "binary-absmean:tensor"},
      {{"int8-token"}, "int8-token:row"}};
  ASSERT_EQ(spellings.size(), Scheme::all().size());
  for (std::size_t i = 0; i < spellings.size(); ++i) {
    const auto& [names, full] = spellings[i];
    EXPECT_EQ(Scheme::all()[i].to_string(), full);
    EXPECT_EQ(Scheme::parse(full).to_string(), full);
    for (const std::string& name : names) {
      EXPECT_EQ(Scheme::parse(name).to_string(), full) << name;
      for (const char* granularity : {"tensor", "row", "group(7)"}) {
        const Scheme scheme = Scheme::parse(name + ":" + granularity);
        EXPECT_EQ(scheme.to_string(), names.back() + ":" + granularity);
        EXPECT_EQ(scheme, Scheme::parse(full).with(Granularity::parse(granularity)));
      }
    }
  }
  EXPECT_EQ(Scheme::activations(), Scheme::parse("int8-token"));
}

TEST(Scheme, RefusesTheRestWithTheList) {
  for (const char* text : {"", "9", "0", "16", "1.5", "8.0", " 8", "8 ", "INT8", "int1", "ternary-absmax", "fp8",
                           "auto", "row", ":row", "int8-absmax-row"}) {
    EXPECT_BNQ_ERROR(Scheme::parse(text), ErrorKind::invalid_argument, "scheme: unknown", "'" + std::string(text) + "'",
                     "8, 7, 6, 5, 4, 3, 2, 1.58, 1", "ternary", "binary", "int4-absmax", "group(n)");
  }
  for (const char* text : {"8:", "8:rows", "8:group(0)", "8:row:row", "ternary: tensor"}) {
    EXPECT_BNQ_ERROR(Scheme::parse(text), ErrorKind::invalid_argument, "granularity: unknown",
                     "tensor, row or group(n)");
  }
  EXPECT_BNQ_ERROR(Scheme::parse("\x1b[31m8"), ErrorKind::invalid_argument, "'\\x1b[31m8'");
}

TEST(Scheme, GivenOnesHoldEveryCodeAndQuantizeNothing) {
  for (int bits = 2; bits <= 8; ++bits) {
    const Scheme scheme = Scheme::parse("int" + std::to_string(bits) + "-given:row");
    EXPECT_TRUE(scheme.is_given());
    EXPECT_EQ(scheme.min_code(), -(1 << (bits - 1)));
    EXPECT_EQ(scheme.max_code(), (1 << (bits - 1)) - 1);
    EXPECT_EQ(scheme.code_bits(), bits);
    const float value = 1;
    EXPECT_BNQ_ERROR(quantize(TensorView(&value, DType::f32, {1}), scheme), ErrorKind::unsupported,
                     "what another program made", scheme.to_string());
  }
  for (const Scheme& scheme : Scheme::all()) EXPECT_FALSE(scheme.is_given()) << scheme.to_string();
}

struct Levels {
  const char* name;
  int low;
  int high;
  int bits;
};

TEST(Scheme, Levels) {
  for (const Levels& row :
       {Levels{"8", -127, 127, 8}, Levels{"7", -63, 63, 7}, Levels{"6", -31, 31, 6}, Levels{"5", -15, 15, 5},
        Levels{"4", -7, 7, 4}, Levels{"3", -3, 3, 3}, Levels{"2", -1, 1, 2}, Levels{"ternary", -1, 1, 2},
        Levels{"binary", -1, 1, 1}, Levels{"int8-token", -128, 127, 8}}) {
    const Scheme scheme = Scheme::parse(row.name);
    EXPECT_EQ(scheme.min_code(), row.low);
    EXPECT_EQ(scheme.max_code(), row.high);
    EXPECT_EQ(scheme.code_bits(), row.bits);
    const bool binary = std::string(row.name) == "binary";
    EXPECT_EQ(scheme.has_zero(), !binary);
    for (int code = -200; code <= 200; ++code) {
      EXPECT_EQ(scheme.holds(code), code >= row.low && code <= row.high && !(binary && code == 0)) << code;
    }
    EXPECT_FALSE(scheme.about().empty());
  }
}

TEST(Scheme, OnlyTwoBitsWarn) {
  for (const Scheme& scheme : Scheme::all()) {
    EXPECT_EQ(!scheme.warning().empty(), scheme.rule() == "int2-absmax") << scheme.to_string();
  }
  EXPECT_NE(Scheme::parse("2").warning().find("ternary"), std::string::npos);
}

}  // namespace
}  // namespace bnq::test
