#include "core/checked.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace bnq::test {
namespace {

constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min();

TEST(Checked, Multiply) {
  EXPECT_EQ(detail::checked_mul<std::int64_t>(most, 1), most);
  EXPECT_EQ(detail::checked_mul<std::int64_t>(-3, 5), -15);
  EXPECT_FALSE(detail::checked_mul<std::int64_t>(most, 2));
  EXPECT_FALSE(detail::checked_mul<std::int64_t>(least, -1));
  EXPECT_FALSE(detail::checked_mul<std::uint64_t>(1ULL << 32U, 1ULL << 32U));
}

TEST(Checked, Add) {
  EXPECT_EQ(detail::checked_add<std::int64_t>(most - 1, 1), most);
  EXPECT_FALSE(detail::checked_add<std::int64_t>(most, 1));
  EXPECT_FALSE(detail::checked_add<std::int64_t>(least, -1));
  EXPECT_FALSE(detail::checked_add<std::uint64_t>(~0ULL, 1));
}

TEST(Checked, CeilDiv) {
  EXPECT_EQ(detail::ceil_div(0, 4), 0);
  EXPECT_EQ(detail::ceil_div(1, 4), 1);
  EXPECT_EQ(detail::ceil_div(4, 4), 1);
  EXPECT_EQ(detail::ceil_div(5, 4), 2);
  EXPECT_EQ(detail::ceil_div(most, std::int64_t{2}), most / 2 + 1);
}

}  // namespace
}  // namespace bnq::test
