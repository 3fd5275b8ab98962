#include "io/gguf/type.h"

#include <gtest/gtest.h>

#include <limits>

namespace bnq::test {
namespace {

using detail::gguf::find_type;
using detail::gguf::size_of;
using detail::gguf::Type;

constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();

TEST(GgufTypeTest, KnowsTheBlocksOfTernaryTypes) {
  struct Row {
    const char* name;
    std::uint32_t id, length, bytes;
  };
  for (const Row& row : {Row{"tq1_0", 34, 256, 54},
                         {"tq2_0", 35, 256, 66},
                         {"q2_0", 42, 64, 18},
                         {"q1_0", 41, 128, 18},
                         {"q8_0", 8, 32, 34},
                         {"q4_0", 2, 32, 18},
                         {"i2_s", 36, 4, 1},
                         {"iq2_bn", 135, 64, 16}}) {
    SCOPED_TRACE(row.name);
    const Type* type = find_type(row.name);
    ASSERT_NE(type, nullptr);
    EXPECT_EQ(type->id, row.id);
    EXPECT_EQ(type->block_length, row.length);
    EXPECT_EQ(type->block_bytes, row.bytes);
  }
}

TEST(GgufTypeTest, NamesAndIdsAreThere) {
  EXPECT_EQ(find_type("nonsense"), nullptr);
  EXPECT_EQ(find_type(""), nullptr);
  EXPECT_EQ(find_type("TQ2_0"), nullptr);
  EXPECT_TRUE(detail::gguf::types_of(44).empty());
  EXPECT_EQ(detail::gguf::types_of(42).size(), 3U);
  EXPECT_EQ(detail::gguf::types_of(42)[0]->name, "q2_0");
  EXPECT_EQ(find_type(DType::bf16)->name, "bf16");
  EXPECT_EQ(find_type(DType::u8), nullptr);
  EXPECT_EQ(name_and_id(*find_type("tq2_0")), "tq2_0 (35)");
  EXPECT_EQ(find_type("pq2_0")->id, 142U) << "what is written has the id of its own";
  EXPECT_EQ(find_type("stq1_0")->id, 43U) << "what is written has the id of its own";
}

TEST(GgufTypeTest, EachRowIsSound) {
  for (const Type& type : detail::gguf::types()) {
    SCOPED_TRACE(type.name);
    EXPECT_GT(type.block_length, 0U);
    EXPECT_GT(type.block_bytes, 0U);
    EXPECT_EQ(type.dtype.has_value(), type.block_length == 1);
    EXPECT_EQ(type.block_bytes, type.dtype ? size_bytes(*type.dtype) : type.block_bytes);
    for (const Type* same : detail::gguf::types_of(type.id)) {
      EXPECT_TRUE(same == &type || same->name != type.name) << "a name could not tell them apart";
    }
  }
}

TEST(GgufTypeTest, CountsBytes) {
  EXPECT_EQ(size_of(*find_type("f32"), {}), 4U);
  EXPECT_EQ(size_of(*find_type("f32"), {2, 3}), 24U);
  EXPECT_EQ(size_of(*find_type("tq2_0"), {2, 3, 512}), 2U * 3 * 2 * 66);
  EXPECT_EQ(size_of(*find_type("i2_s"), {4, 128}), 4U * 32 + 32);
  EXPECT_EQ(size_of(*find_type("i2_s"), {3, 4}), 3U + 32);
  EXPECT_EQ(size_of(*find_type("iq2_bn"), {4, 128}), 4U * (4 + 2 * 16));
  EXPECT_EQ(size_of(*find_type("iq1_bn"), {4, 128}), 4U * (2 + 2 * 13));
  EXPECT_EQ(size_of(*find_type("tq2_0"), {2, 128}), std::nullopt) << "the depth is no multiple";
  EXPECT_EQ(size_of(*find_type("tq2_0"), {256, 1}), std::nullopt);
  EXPECT_EQ(size_of(*find_type("tq2_0"), {}), std::nullopt);
}

TEST(GgufTypeTest, NoticesWhatOverflows) {
  const std::int64_t two_32 = std::int64_t{1} << 32;
  EXPECT_EQ(size_of(*find_type("i8"), {two_32, two_32}), std::nullopt);
  EXPECT_EQ(size_of(*find_type("i8"), {largest}), std::uint64_t{largest});
  EXPECT_EQ(size_of(*find_type("f16"), {largest}), std::nullopt);
  EXPECT_EQ(size_of(*find_type("stq1_0"), {largest / 256, 512}), std::nullopt) << "the elements, not the bytes";
  EXPECT_EQ(size_of(*find_type("i2_s"), {1, largest / 4 * 4}), std::uint64_t{largest / 4} + 32);
  EXPECT_EQ(size_of(*find_type("iq2_bn"), {largest / 64, 64}), std::uint64_t{largest / 64} * 20);
  EXPECT_EQ(size_of(*find_type("q8_0"), {largest / 32, 32}), std::nullopt);
}

}  // namespace
}  // namespace bnq::test
