// Widening and rounding of f16 and bf16, exhaustively where that is possible, against the definition of the formats.

#include "core/elements.h"

#include "support/tensors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace bnq::test {
namespace {

class SmallFloat : public ::testing::TestWithParam<DType> {};

oracle::FloatFormat format_of(DType dtype) { return oracle::format_called(std::string(name(dtype))); }

std::vector<std::uint16_t> all_patterns() {
  std::vector<std::uint16_t> bits(65'536);
  for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<std::uint16_t>(i);
  return bits;
}

TEST_P(SmallFloat, EveryValueWidensExactly) {
  const std::vector<std::uint16_t> bits = all_patterns();
  std::vector<float> values(bits.size());
  detail::read_elements(TensorView(bits.data(), GetParam(), {65'536}), 0, values);
  for (std::size_t i = 0; i < bits.size(); ++i) {
    const double want = oracle::value_of(format_of(GetParam()), bits[i]);
    if (std::isnan(want)) {
      ASSERT_TRUE(std::isnan(values[i])) << std::hex << i;
    } else {
      ASSERT_EQ(static_cast<double>(values[i]), want) << std::hex << i;
      ASSERT_EQ(std::signbit(values[i]), std::signbit(want)) << std::hex << i;
    }
  }
}

TEST_P(SmallFloat, EveryValueComesBack) {
  const std::vector<std::uint16_t> bits = all_patterns();
  std::vector<float> values(bits.size());
  detail::read_elements(TensorView(bits.data(), GetParam(), {65'536}), 0, values);
  std::vector<std::uint16_t> back(bits.size());
  detail::write_elements(values, GetParam(), back.data());
  const std::uint32_t quiet = oracle::bits_of(format_of(GetParam()), std::nan(""));
  for (std::size_t i = 0; i < bits.size(); ++i) {
    const std::uint32_t want = std::isnan(values[i]) ? quiet : bits[i];
    ASSERT_EQ(back[i], want) << std::hex << i;
  }
}

/// Every sign, exponent and leading fraction bits that the small format keeps, each with the ends and the middle of
/// what it drops, and their neighbours.
TEST_P(SmallFloat, RoundsHalfToEven) {
  const int kept = format_of(GetParam()).fraction_bits;
  const std::uint32_t dropped = 1U << static_cast<unsigned>(23 - kept);
  const std::uint32_t rests[] = {0, 1, dropped / 4, dropped / 2 - 1, dropped / 2, dropped / 2 + 1, dropped - 1};
  std::vector<float> values;
  for (std::uint32_t top = 0; top < 1U << static_cast<unsigned>(9 + kept); ++top) {
    for (const std::uint32_t rest : rests) values.push_back(oracle::f32_from_bits(top * dropped + rest));
  }
  std::vector<std::uint16_t> got(values.size());
  detail::write_elements(values, GetParam(), got.data());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint32_t want = oracle::bits_of(format_of(GetParam()), static_cast<double>(values[i]));
    ASSERT_EQ(got[i], want) << std::hexfloat << values[i];
  }
}

INSTANTIATE_TEST_SUITE_P(Of16Bits, SmallFloat, ::testing::Values(DType::f16, DType::bf16),
                         [](const auto& dtype) { return std::string(name(dtype.param)); });

/// f16 subnormals: the exponents 2^-25 … 2^-14 lose bits one by one; all fractions of the top 12 bits.
TEST(F16, SubnormalsRoundHalfToEven) {
  std::vector<float> values;
  for (std::uint32_t exponent = 127 - 27; exponent <= 127 - 14; ++exponent) {
    for (std::uint32_t fraction = 0; fraction < 4096; ++fraction) {
      for (const std::uint32_t rest : {0U, 1U, 2047U}) {
        values.push_back(oracle::f32_from_bits(exponent << 23U | fraction << 11U | rest));
      }
    }
  }
  std::vector<std::uint16_t> got(values.size());
  detail::write_elements(values, DType::f16, got.data());
  for (std::size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(got[i], oracle::bits_of(oracle::format_f16, static_cast<double>(values[i])))
        << std::hexfloat << values[i];
  }
}

TEST(F16, HandComputed) {
  const float values[] = {1.0F, -2.0F, 65504.0F, 65519.0F, 65520.0F, 0x1p-24F, 0x1p-25F, 0x1.8p-25F, 0x1p-14F, -0.0F};
  const std::vector<std::uint16_t> want{0x3C00, 0xC000, 0x7BFF, 0x7BFF, 0x7C00, 0x0001, 0x0000, 0x0001, 0x0400, 0x8000};
  std::vector<std::uint16_t> got(want.size());
  detail::write_elements(values, DType::f16, got.data());
  EXPECT_EQ(got, want);
}

TEST(BF16, HandComputed) {
  const float values[] = {1.0F, 1.00390625F, 1.01171875F, -0.0F, std::numeric_limits<float>::max(), 0x1p-133F};
  const std::vector<std::uint16_t> want{0x3F80, 0x3F80, 0x3F82, 0x8000, 0x7F80, 0x0001};
  std::vector<std::uint16_t> got(want.size());
  detail::write_elements(values, DType::bf16, got.data());
  EXPECT_EQ(got, want);
}

TEST(F32, EveryNanBecomesTheQuietOne) {
  const std::uint32_t patterns[] = {0x7F80'0001U, 0xFF80'0001U, 0xFFFF'FFFFU, 0x7FC0'0000U, 0x8000'0000U, 0x0000'0001U};
  const std::vector<std::uint32_t> want{0x7FC0'0000U, 0x7FC0'0000U, 0x7FC0'0000U,
                                        0x7FC0'0000U, 0x8000'0000U, 0x0000'0001U};
  std::vector<float> values(6);
  std::memcpy(values.data(), patterns, sizeof patterns);
  std::vector<std::uint32_t> got(want.size());
  detail::write_elements(values, DType::f32, got.data());
  EXPECT_EQ(got, want);
}

TEST(Elements, LargestFinite) {
  EXPECT_EQ(detail::largest_finite(DType::f32), std::numeric_limits<float>::max());
  EXPECT_EQ(detail::largest_finite(DType::f16), 65504.0F);
  EXPECT_EQ(detail::largest_finite(DType::bf16), 0x1.FEp127F);
}

TEST(Elements, RangesOfAStridedView) {
  const std::vector<float> memory{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  const TensorView view(memory.data(), DType::f32, {3, 4}, {1, 3});  // the transpose of [4, 3]
  for (std::int64_t begin = 0; begin <= 12; ++begin) {
    for (std::int64_t end = begin; end <= 12; ++end) {
      std::vector<float> got(static_cast<std::size_t>(end - begin));
      detail::read_elements(view, begin, got);
      for (std::int64_t i = begin; i < end; ++i) {
        ASSERT_EQ(got[static_cast<std::size_t>(i - begin)], static_cast<float>(i / 4 + i % 4 * 3));
      }
    }
  }
}

TEST(Elements, IndexText) {
  EXPECT_EQ(detail::index_text({}, 0), "[]");
  EXPECT_EQ(detail::index_text({7}, 6), "[6]");
  EXPECT_EQ(detail::index_text({2, 3, 5}, 29), "[1, 2, 4]");
  EXPECT_EQ(detail::index_text({2, 3, 5}, 5), "[0, 1, 0]");
}

}  // namespace
}  // namespace bnq::test
