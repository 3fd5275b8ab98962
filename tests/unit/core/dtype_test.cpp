#include <bnq/dtype.h>

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace bnq::test {
namespace {

TEST(DType, NamesAndSizes) {
  const std::map<std::string, std::size_t> sizes{
      {"f32", 4}, {"f16", 2},     {"bf16", 2},    {"f64", 8},         {"i8", 1},         {"u8", 1},   {"i16", 2},
      {"u16", 2}, {"i32", 4},     {"u32", 4},     {"i64", 8},         {"u64", 8},        {"bool", 1}, {"f8_e4m3", 1},
      {"c64", 8}, {"f8_e5m2", 1}, {"f8_e8m0", 1}, {"f8_e4m3fnuz", 1}, {"f8_e5m2fnuz", 1}};
  ASSERT_EQ(sizes.size(), static_cast<std::size_t>(DType::c64) + 1);
  for (const auto& [text, bytes] : sizes) {
    const auto dtype = parse_dtype(text);
    ASSERT_TRUE(dtype.has_value()) << text;
    EXPECT_EQ(name(*dtype), text);
    EXPECT_EQ(size_bytes(*dtype), bytes) << text;
    EXPECT_EQ(is_quantizable(*dtype), text == "f32" || text == "f16" || text == "bf16") << text;
  }
}

TEST(DType, UnknownNames) {
  for (const char* text : {"", "F32", "float32", "f32 ", "f8", "i4"})
    EXPECT_FALSE(parse_dtype(text).has_value()) << text;
}

}  // namespace
}  // namespace bnq::test
