// Small worlds in full: every byte, field, group of four codes and row length.

#include "oracle/layouts.h"
#include "support/expect_error.h"
#include "support/hex.h"
#include "support/oracle_bridge.h"
#include "support/packed.h"
#include "support/random.h"

#include <bnq/layout.h>

#include <gtest/gtest.h>

namespace bnq::test {
namespace {

std::vector<std::byte> one_byte(int value) { return {static_cast<std::byte>(value)}; }

TEST(EveryByte, OfI8IsACodeOrRefused) {
  for (const Scheme& scheme : Scheme::all()) {
    for (int byte = 0; byte < 256; ++byte) {
      const int code = byte < 128 ? byte : byte - 256;
      const PackedTensor p = packed("i8", scheme, {1}, one_byte(byte));
      const bool low_enough = code >= scheme.min_code() && code <= scheme.max_code();
      if (low_enough && (code != 0 || scheme.rule() != "binary-absmean")) {
        EXPECT_EQ(codes_of(unpack(p)), std::vector<int>{code});
      } else {
        EXPECT_BNQ_ERROR(unpack(p), ErrorKind::bad_content, "unpack i8", scheme.rule(),
                         std::to_string(code) + " at [0]");
      }
    }
  }
}

TEST(EveryByte, OfU2HfIsFourCodesOrRefused) {
  for (int byte = 0; byte < 256; ++byte) {
    const PackedTensor p = packed("u2_hf", Scheme::parse("ternary"), {4, 1}, one_byte(byte));
    const std::vector<int> fields{byte % 4, byte / 4 % 4, byte / 16 % 4, byte / 64};
    const auto three = std::ranges::find(fields, 3);
    if (three == fields.end()) {
      EXPECT_EQ(codes_of(unpack(p)), (std::vector<int>{fields[0] - 1, fields[1] - 1, fields[2] - 1, fields[3] - 1}));
    } else {
      const std::string row = std::to_string(three - fields.begin());
      EXPECT_BNQ_ERROR(unpack(p), ErrorKind::bad_content, "2 at [" + row + ", 0]", "-1 to 1");
    }
  }
}

TEST(EveryByte, OfU1IsEightCodes) {
  for (int byte = 0; byte < 256; ++byte) {
    std::vector<int> codes;
    for (int bit = 0; bit < 8; ++bit) codes.push_back(byte / (1 << bit) % 2 == 1 ? 1 : -1);
    const PackedTensor p = packed("u1", Scheme::parse("1"), {8}, one_byte(byte));
    EXPECT_EQ(codes_of(unpack(p)), codes);
    EXPECT_TRUE(same_bytes(pack(unpack(p), p.layout()).data(), one_byte(byte)));
  }
}

/// All 81 groups of four, at every place of a byte row.
TEST(EveryQuadruple, OfTernaryCodesThroughU2Hf) {
  std::vector<int> codes(4 * 81);
  for (int i = 0; i < 81; ++i) {
    const auto at = static_cast<std::size_t>(i);
    codes[at] = i % 3 - 1;
    codes[81 + at] = i / 3 % 3 - 1;
    codes[2 * 81 + at] = i / 9 % 3 - 1;
    codes[3 * 81 + at] = i / 27 - 1;
  }
  const QuantizedTensor q = quantized(Scheme::parse("ternary"), {4, 81}, codes);
  const PackedTensor p = pack(q, Layout::parse("u2_hf"));
  EXPECT_TRUE(same_bytes(p.data(), as_bytes(oracle::pack_u2_hf(code_table(q)))));
  EXPECT_EQ(codes_of(unpack(p)), codes);
}

/// Row bytes where the field at `at` has a value of its own and the others are the code 0.
std::vector<std::byte> row_with_field(int bits, std::size_t depth, std::size_t at, int value) {
  std::vector<bool> row;
  for (std::size_t i = 0; i < depth; ++i) {
    const int field = i == at ? value : 1 << (bits - 1);
    for (int bit = 0; bit < bits; ++bit) row.push_back(field / (1 << bit) % 2 == 1);
  }
  return as_bytes(oracle::bytes_of_bits(row, 32));
}

/// Every value of a field of 2 to 7 bits, at each of 70 places: it meets every bit of a word, also across two words.
TEST(EveryField, OfI32CtIsACodeOrRefused) {
  constexpr std::size_t depth = 70;
  for (int bits = 2; bits <= 7; ++bits) {
    const Scheme scheme = Scheme::parse(std::to_string(bits)).with(Granularity::row());
    for (std::size_t at = 0; at < depth; ++at) {
      for (int field = 0; field < 1 << bits; ++field) {
        const int code = field - (1 << (bits - 1));
        const PackedTensor p = packed("i32_ct", scheme, {1, depth}, row_with_field(bits, depth, at, field));
        if (field == 0) {  // -2^(b-1): symmetric schemes do not have it
          ASSERT_BNQ_ERROR(unpack(p), ErrorKind::bad_content,
                           std::to_string(code) + " at [0, " + std::to_string(at) + "]");
          continue;
        }
        std::vector<int> want(depth, 0);
        want[at] = code;
        ASSERT_EQ(codes_of(unpack(p)), want) << bits << " bits, field " << field << " at " << at;
        ASSERT_TRUE(same_bytes(pack(unpack(p), p.layout()).data(), p.data()));
      }
    }
  }
}

std::vector<int> random_codes(Random& random, const Scheme& scheme, std::int64_t count) {
  std::vector<int> codes;
  while (static_cast<std::int64_t>(codes.size()) < count) {
    const auto code = static_cast<int>(random.integer(scheme.min_code(), scheme.max_code()));
    if (scheme.holds(code)) codes.push_back(code);
  }
  return codes;
}

/// Every layout, scheme and row length from 1 to 70: the oracle's bytes, and the codes back.
TEST(EveryTail, OfEveryLayout) {
  Random random(40);
  std::int64_t held = 0;
  for (std::int64_t depth = 1; depth <= 70; ++depth) {
    for (const Scheme& rule : Scheme::all()) {
      for (const std::int64_t rows : {1, 4, 12}) {
        const Shape shape{rows, depth};
        const QuantizedTensor q =
            quantized(rule.with(Granularity::tensor()), shape, random_codes(random, rule, rows * depth), 0.5F);
        for (const Layout& layout : Layout::all()) {
          if (!layout.refusal(q.scheme(), shape).empty()) continue;
          const std::vector<std::byte> want = as_bytes(oracle::pack(std::string(layout.name()), code_table(q)));
          const PackedTensor p =
              layout.is_read_only() ? packed(layout.name(), q.scheme(), shape, want) : pack(q, layout);
          ASSERT_TRUE(same_bytes(p.data(), want)) << layout.name() << " " << q.scheme().to_string() << " " << depth;
          ASSERT_TRUE(same_values(unpack(p), q)) << layout.name() << " " << q.scheme().to_string() << " " << depth;
          ++held;
        }
      }
    }
  }
  // i8, i32_ct, u1; u2_hf for int2 and ternary, i2_s_1x4 also for binary; at 32 and 64 q8_0 for all and q4_0 for five;
  // at 64 q2_0, iq2_bn and i2_s_arm for three
  EXPECT_EQ(held, 70 * (3 * (10 + 7 + 1) + 2 * (2 + 3)) + 2 * 3 * (10 + 5) + 3 * 3 * 3);
}

/// Groups of every size with depths around them.
TEST(EveryTail, OfGroups) {
  Random random(44);
  std::int64_t held = 0;
  for (const std::int64_t group : {16, 32, 64, 128, 256}) {
    for (const std::int64_t depth : {1L, group - 1, group, group + 1, 2 * group, 3 * group - 5}) {
      for (const Scheme& rule : Scheme::all()) {
        const Scheme scheme = rule.with(Granularity::group(group));
        const Shape shape{3, depth};
        const QuantizedTensor q = quantized(scheme, shape, random_codes(random, rule, 3 * depth), 0.5F);
        for (const Layout& layout : Layout::all()) {
          if (layout.is_read_only() || !layout.refusal(scheme, shape).empty()) continue;
          const PackedTensor p = pack(q, layout);
          const std::vector<std::byte> want = as_bytes(oracle::pack(std::string(layout.name()), code_table(q)));
          ASSERT_TRUE(same_bytes(p.data(), want)) << layout.name() << " " << scheme.to_string() << " " << depth;
          ASSERT_TRUE(same_values(unpack(p), q)) << layout.name() << " " << scheme.to_string() << " " << depth;
          held += layout.name().ends_with("_ort") ? 1 : 0;
        }
      }
    }
  }
  EXPECT_EQ(held, 5 * 6 * (10 + 5 + 3));  // int8-token counts among the ten
}

/// Fields that a scheme does not have are refused; what fills up a block is not looked at.
TEST(EveryField, OfOrtIsACodeOrRefused) {
  for (int byte = 0; byte < 256; ++byte) {
    const bool has_zero_field = byte % 4 == 0 || byte / 4 % 4 == 0 || byte / 16 % 4 == 0 || byte / 64 == 0;
    std::vector<std::byte> bytes(4, std::byte{0xAA});
    bytes[3] = static_cast<std::byte>(byte);
    const Scheme scheme = Scheme::parse("ternary:group(16)");
    EXPECT_EQ(codes_of(unpack(packed("u2_ort", scheme, {1, 12}, bytes))), std::vector<int>(12, 0));
    if (has_zero_field) {
      EXPECT_BNQ_ERROR(unpack(packed("u2_ort", scheme, {1, 16}, bytes)), ErrorKind::bad_content, "got -2 at");
    } else {
      EXPECT_TRUE(
          same_bytes(pack(unpack(packed("u2_ort", scheme, {1, 16}, bytes)), Layout::parse("u2_ort")).data(), bytes));
    }
  }
}

}  // namespace
}  // namespace bnq::test
