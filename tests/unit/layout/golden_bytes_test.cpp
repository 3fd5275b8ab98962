// Bytes worked out by hand, or with another program, for each layout.

#include "support/hex.h"
#include "support/packed.h"

#include <bnq/layout.h>

#include <gtest/gtest.h>

namespace bnq::test {
namespace {

struct Golden {
  const char* layout;
  const char* scheme;
  Shape shape;
  std::vector<int> codes;
  const char* bytes;
};

const std::vector<Golden>& golden() {
  static const std::vector<Golden> rows{
      {"i8", "8", {5}, {-127, -1, 0, 1, 127}, "81 ff 00 01 7f"},
      {"i8", "int8-token", {2, 2}, {-128, 127, 3, -3}, "80 7f 03 fd"},
      // bits 1,0,1,1,0,0,0,1 make 0x8d; a row that is not full ends with zero bits
      {"u1", "1", {2, 10}, {1, -1, 1, 1, -1, -1, -1, 1, 1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 1}, "8d 01 00 02"},
      // 1, 2, 3, 3 in two bits each: 1 + 2 * 4 + 3 * 16 + 3 * 64 = 0xf9
      {"i32_ct", "ternary:row", {1, 4}, {-1, 0, 1, 1}, "f9 00 00 00"},
      {"i32_ct", "4", {9}, {-7, -6, -5, -4, -3, -2, -1, 0, 7}, "21 43 65 87 0f 00 00 00"},
      // 33 bits: the eleventh field, 4, begins in the first word and ends in the second
      {"i32_ct", "3", {11}, {-3, -2, -1, 0, 1, 2, 3, -3, -2, -1, 0}, "d1 58 3f 1a 01 00 00 00"},
      {"i32_ct", "2", {15}, {-1, -1, 0, 1, 1, -1, -1, 0, 1, 1, -1, -1, 0, 1, 1}, "e5 97 5f 3e"},
      {"i32_ct", "5", {5}, {-15, -1, 0, 1, 15}, "e1 c1 f8 01"},
      {"i32_ct", "6", {5}, {-31, -1, 0, 1, 31}, "c1 07 86 3f"},
      {"i32_ct", "7", {5}, {-63, -1, 0, 1, 63}, "81 1f 30 f8 07 00 00 00"},
      // the congruence's first 16 codes, as 2 + code and 8 + code
      {"u2_ort", "ternary:group(16)", {1, 16}, {1, 0, -1, 0, 0, 1, -1, -1, -1, -1, 0, 1, -1, -1, 1, 1}, "9b 5e e5 f5"},
      {"u4_ort",
       "ternary:group(16)",
       {1, 16},
       {1, 0, -1, 0, 0, 1, -1, -1, -1, -1, 0, 1, -1, -1, 1, 1},
       "89 87 98 77 77 98 77 99"},
      // one code more than a block: the rest of the second is 2^(b-1)
      {"u4_ort",
       "4:group(16)",
       {1, 17},
       {-7, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, -1},
       "f1 88 88 88 88 88 88 98 87 88 88 88 88 88 88 88"},
      {"u8_ort",
       "8:group(16)",
       {2, 1},
       {-127, 127},
       "01 80 80 80 80 80 80 80 80 80 80 80 80 80 80 80 ff 80 80 80 80 80 80 80 80 80 80 80 80 80 80 80"},
      // the decoding example of the Transformers layout: bytes [[0xa1, 0x18], [0x90, 0x0a]]
      {"u2_hf", "ternary", {8, 2}, {0, -1, -1, 1, -1, 1, -1, 1, 1, 0, 0, -1, 1, -1, 1, -1}, "a1 18 90 0a"},
  };
  return rows;
}

TEST(GoldenBytes, Pack) {
  for (const Golden& row : golden()) {
    const QuantizedTensor q = quantized(Scheme::parse(row.scheme), row.shape, row.codes);
    EXPECT_EQ(to_hex(pack(q, Layout::parse(row.layout)).data()), to_hex(from_hex(row.bytes)))
        << row.layout << " " << row.scheme;
  }
}

TEST(GoldenBytes, Unpack) {
  for (const Golden& row : golden()) {
    const PackedTensor p = packed(row.layout, Scheme::parse(row.scheme), row.shape, from_hex(row.bytes));
    EXPECT_EQ(codes_of(unpack(p)), row.codes) << row.layout << " " << row.scheme;
  }
}

/// What Transformers' own packing makes of it; SHA-256 of the bytes begins with 09fb720ff0e367ea.
TEST(GoldenBytes, TransformersMatrixOf8By64) {
  const std::vector<int> codes = congruence_codes(512);
  ASSERT_EQ(std::vector<int>(codes.begin(), codes.begin() + 8), (std::vector<int>{1, 0, -1, 0, 0, 1, -1, -1}));
  const PackedTensor p = pack(quantized(Scheme::parse("ternary"), {8, 64}, codes, 0.75F));
  EXPECT_EQ(p.layout().name(), "u2_hf");
  EXPECT_EQ(to_hex(p.data()),
            "9265a4a9550aa0186824111a04540a0244a420a8a659a2686004681655826a264a41a246556558948a964090a50a6426"
            "9aa4a81a892a10a1a89996899991a194058404022aa1192542809560658161502a0421a4695955091442468a94506555"
            "5a900261980458642816820a066101a02a194091a1a5812046525aa82a049916");
}

}  // namespace
}  // namespace bnq::test
