// Layouts that hold scales among the codes: bytes that other programs made, and every byte that they could not have.

#include "oracle/blocks.h"
#include "support/expect_error.h"
#include "support/hex.h"
#include "support/oracle_bridge.h"
#include "support/packed.h"
#include "support/random.h"

#include <bnq/layout.h>

#include "layout/layout_row.h"

#include <gtest/gtest.h>

namespace bnq::test {
namespace {

const Scheme ternary = Scheme::parse("ternary");

struct Golden {
  const char* layout;
  const char* scheme;
  Shape shape;
  const char* bytes;
};

/// The congruence's codes under the scale 0.75. Those of ggml and ik_llama.cpp were packed by their own routines; of
/// the I2_S orders these are the first bytes of larger tensors whose SHA-256 was compared (docs/formats).
const std::vector<Golden>& golden() {
  static const std::vector<Golden> rows{
      {"tq1_0",
       "ternary",
       {1, 256},
       "f47341a786d30a0c4e4166b42e47bae454050a3fd59db829073755dc7ac8d6bcf62a4392aa96c367e9902a429cab5975bbcb1a17 003a"},
      {"tq2_0",
       "ternary",
       {256},
       "9a05886925161010288891829458520aa84010485659521480a4a8268506569298111106a546a8568a45108255090604a995081a296a102"
       "2"
       "580996a999409255 003a"},
      {"q2_0", "ternary:row", {1, 64}, "003a 460990a0002680a9a6050a8982496415"},
      {"iq2_bn", "ternary:row", {1, 64}, "0000403f a21120a1599608402060814a54684a2a"},
      {"i2_s",
       "ternary",
       {1, 128},
       "a65022695894040428224682162585a02a01042195658514021a2a9852909586"
       "0000403f000000000000000000000000 00000000000000000000000000000000"},
      {"i2_s_arm",
       "ternary",
       {1, 64},
       "8a44084a65962001080942a11529a1a8 0000403f000000000000000000000000 00000000000000000000000000000000"},
  };
  return rows;
}

std::vector<int> codes_for(const Golden& row) {
  return congruence_codes(static_cast<std::size_t>(element_count(row.shape)));
}

TEST(BlockGoldenBytes, Pack) {
  for (const Golden& row : golden()) {
    if (Layout::parse(row.layout).is_read_only()) continue;
    const PackedTensor p =
        pack(quantized(Scheme::parse(row.scheme), row.shape, codes_for(row), 0.75F), Layout::parse(row.layout));
    EXPECT_EQ(to_hex(p.data()), to_hex(from_hex(row.bytes))) << row.layout;
    EXPECT_EQ(p.scale_error(), 0) << row.layout;
  }
}

TEST(BlockGoldenBytes, Unpack) {
  for (const Golden& row : golden()) {
    const QuantizedTensor q = unpack(packed(row.layout, Scheme::parse(row.scheme), row.shape, from_hex(row.bytes)));
    EXPECT_TRUE(same_values(q, quantized(Scheme::parse(row.scheme), row.shape, codes_for(row), 0.75F))) << row.layout;
  }
}

/// The first bytes of a 4 x 128 tensor, as bitnet.cpp packs it row by row.
TEST(BlockGoldenBytes, FourRowsOfI2S1x4) {
  const std::vector<int> codes = congruence_codes(512);
  const QuantizedTensor q = quantized(ternary, {4, 128}, codes, 0.75F);
  const std::vector<std::byte> bytes = as_bytes(oracle::pack("i2_s_1x4", code_table(q)));
  EXPECT_EQ(to_hex(std::span(bytes).first(8)), to_hex(from_hex("86591a6a55a00a24")));
  EXPECT_TRUE(same_values(unpack(packed("i2_s_1x4", ternary, {4, 128}, bytes)), q));
}

/// Zeros under the scale 0: what ggml makes of a block without weights.
TEST(BlockGoldenBytes, AllZero) {
  const QuantizedTensor q = quantized(ternary, {256}, std::vector<int>(256, 0), 0);
  const auto bytes_of = [&](const char* layout) { return to_hex(pack(q, Layout::parse(layout)).data().first(48)); };
  EXPECT_EQ(bytes_of("tq1_0"), to_hex(std::vector<std::byte>(48, std::byte{0x80})));
  EXPECT_EQ(bytes_of("tq2_0"), to_hex(std::vector<std::byte>(48, std::byte{0x55})));
}

TEST(Q4_0, WorkedBlocks) {
  std::vector<int> codes(32, 0);
  codes[0] = -8;
  codes[1] = 7;
  codes[16] = 1;
  const auto bytes_of = [&] {
    return to_hex(pack(quantized(Scheme::parse("int5-given:row"), {32}, codes, 0.5F), Layout::parse("q4_0")).data());
  };
  EXPECT_EQ(bytes_of(), to_hex(from_hex("0038 908f 8888888888888888888888888888")));
  codes[0] = 8;  // only under a negative scale, with every code turned around
  codes[1] = -7;
  EXPECT_EQ(bytes_of(), to_hex(from_hex("00b8 708f 8888888888888888888888888888")));
}

TEST(Q4_0, BothSignsOfTheScaleComeBack) {
  const Scheme scheme = Scheme::parse("int5-given:group(32)");
  for (const int end : {-8, 8}) {
    std::vector<int> codes(64, 3);
    codes[40] = end;
    const QuantizedTensor q = quantized(scheme, {64}, codes, 0.5F);
    EXPECT_TRUE(same_values(unpack(pack(q, Layout::parse("q4_0"))), q));
  }
}

TEST(Q4_0, RefusesBothEndsInABlock) {
  std::vector<int> codes(64, 0);
  codes[3] = -8;
  codes[33] = 8;
  const Scheme scheme = Scheme::parse("int5-given:group(32)");
  EXPECT_NO_THROW((void)pack(quantized(scheme, {2, 32}, codes), Layout::parse("q4_0")));
  codes[63] = -8;
  EXPECT_BNQ_ERROR(pack(quantized(scheme, {2, 32}, codes), Layout::parse("q4_0")), ErrorKind::unsupported,
                   "-8 at [1, 31]", "such as i8");
  codes[63] = 9;
  EXPECT_BNQ_ERROR(pack(quantized(scheme, {2, 32}, codes), Layout::parse("q4_0")), ErrorKind::unsupported,
                   "9 at [1, 31]");
}

TEST(Q2_0, HoldsTwoWhereTheSchemeHasIt) {
  std::vector<int> codes(64, 2);
  codes[63] = -1;
  const QuantizedTensor q = quantized(Scheme::parse("int3-given:group(64)"), {64}, codes, 0.5F);
  const PackedTensor p = pack(q, Layout::parse("q2_0"));
  EXPECT_TRUE(same_values(unpack(p), q));
  EXPECT_BNQ_ERROR(unpack(packed("q2_0", ternary, {64}, {p.data().begin(), p.data().end()})), ErrorKind::bad_content,
                   "2 at [0]", "-1 to 1");
  codes[5] = -2;
  EXPECT_BNQ_ERROR(pack(quantized(Scheme::parse("int3-given:group(64)"), {64}, codes), Layout::parse("q2_0")),
                   ErrorKind::unsupported, "-2 at [5]");
}

/// Bytes of zeros, with one byte of its own.
std::vector<std::byte> with_byte(const Layout& layout, const Shape& shape, std::size_t at, int value) {
  const PackedTensor p =
      pack(quantized(ternary, shape, std::vector<int>(static_cast<std::size_t>(element_count(shape)), 0)), layout);
  std::vector<std::byte> bytes(p.data().begin(), p.data().end());
  bytes.at(at) = static_cast<std::byte>(value);
  return bytes;
}

/// Every byte of four fields at the first and last place of codes: four codes, or refused for a field of 3.
TEST(EveryByte, OfFourTernaryFieldsIsCodesOrRefused) {
  struct Place {
    const char* layout;
    std::size_t at;
  };
  for (const Place& place : {Place{"tq2_0", 0}, Place{"tq2_0", 63}, Place{"q2_0", 2}, Place{"q2_0", 17},
                             Place{"iq2_bn", 4}, Place{"iq2_bn", 19}, Place{"i2_s", 0}, Place{"i2_s", 31}}) {
    for (int byte = 0; byte < 256; ++byte) {
      const Layout layout = Layout::parse(place.layout);
      const std::vector<std::byte> bytes = with_byte(layout, {256}, place.at, byte);
      const bool has_three = byte % 4 == 3 || byte / 4 % 4 == 3 || byte / 16 % 4 == 3 || byte / 64 == 3;
      if (has_three) {
        ASSERT_BNQ_ERROR(unpack(packed(place.layout, ternary, {256}, bytes)), ErrorKind::bad_content, "got 2 at");
        continue;
      }
      const QuantizedTensor q = unpack(packed(place.layout, ternary, {256}, bytes));
      ASSERT_TRUE(same_bytes(pack(q, layout).data(), bytes)) << place.layout << " " << byte;
    }
  }
}

/// 243 of 256 bytes are five ternary digits; of those with four digits the fifth is not looked at.
TEST(EveryByte, OfTq1IsFiveCodesOrRefused) {
  const Layout layout = Layout::parse("tq1_0");
  for (const std::size_t at : {0U, 31U, 32U, 47U, 48U, 51U}) {
    int refused = 0;
    for (int byte = 0; byte < 256; ++byte) {
      const std::vector<std::byte> bytes = with_byte(layout, {256}, at, byte);
      try {
        const QuantizedTensor q = unpack(packed("tq1_0", ternary, {256}, bytes));
        ASSERT_TRUE(at >= 48 || same_bytes(pack(q, layout).data(), bytes)) << byte;
      } catch (const Error& error) {
        ASSERT_EQ(error.kind(), ErrorKind::bad_content);
        ++refused;
      }
    }
    EXPECT_EQ(refused, 13) << at;
  }
}

TEST(EveryByte, OfQ4IsTwoCodes) {
  const Scheme scheme = Scheme::parse("int5-given:group(32)");
  for (const int high_byte_of_scale : {0x38, 0xb8}) {
    for (int byte = 0; byte < 256; ++byte) {
      std::vector<std::byte> bytes = from_hex("0038 88888888888888888888888888888888");
      bytes[1] = static_cast<std::byte>(high_byte_of_scale);
      bytes[17] = static_cast<std::byte>(byte);
      const QuantizedTensor q = unpack(packed("q4_0", scheme, {32}, bytes));
      const int sign = high_byte_of_scale == 0x38 ? 1 : -1;
      ASSERT_EQ(q.codes()[15], sign * (byte % 16 - 8));
      ASSERT_EQ(q.codes()[31], sign * (byte / 16 - 8));
      ASSERT_EQ(q.scales()[0], 0.5F);
    }
  }
}

TEST(BlockLayouts, RefusalsSayWhy) {
  const auto refusal = [](const char* layout, const char* scheme, const Shape& shape) {
    return Layout::parse(layout).refusal(Scheme::parse(scheme), shape);
  };
  EXPECT_EQ(refusal("tq2_0", "ternary", {3, 256}), "");
  EXPECT_EQ(refusal("tq2_0", "ternary", {0, 256}), "");
  EXPECT_EQ(refusal("tq2_0", "ternary", {3, 0}), "");
  EXPECT_EQ(refusal("tq2_0", "binary", {2, 3, 256}), "");
  EXPECT_EQ(refusal("tq2_0", "ternary", {3, 255}), "needs a depth in multiples of 256, the tensor has 255");
  EXPECT_EQ(refusal("tq1_0", "ternary", {}), "needs at least one axis");
  EXPECT_EQ(refusal("tq1_0", "4", {256}), "needs codes -1, 0, +1, int4-absmax has others");
  EXPECT_EQ(refusal("tq1_0", "int2-given", {256}), "needs codes -1, 0, +1, int2-given has others");
  EXPECT_EQ(refusal("q2_0", "3", {256}), "needs codes -1, 0, +1, +2, int3-absmax has others");
  EXPECT_EQ(refusal("q2_0", "int3-given:row", {256}), "");
  EXPECT_NE(refusal("q2_0", "int4-given:row", {256}), "");
  EXPECT_NE(refusal("q4_0", "5:row", {256}), "");
  EXPECT_EQ(refusal("q4_0", "int5-given:row", {256}), "");
  EXPECT_NE(refusal("q4_0", "int6-given:row", {256}), "");
  EXPECT_EQ(refusal("q8_0", "int8-token", {32}), "");
  EXPECT_EQ(refusal("i2_s_1x4", "ternary", {6, 4}), "needs rows in multiples of 4, the tensor has 6");
  EXPECT_EQ(refusal("i2_s_1x4", "ternary", {4}), "needs two axes, the tensor has 1");
}

TEST(BlockLayouts, StorageOfEach) {
  const auto shape_of = [](const char* layout, const Shape& shape) {
    const Layout l = Layout::parse(layout);
    EXPECT_EQ(l.storage_dtype(), DType::u8);
    return l.storage_shape(Scheme::parse("ternary"), shape);
  };
  EXPECT_EQ(shape_of("tq1_0", {3, 512}), (Shape{3, 108}));
  EXPECT_EQ(shape_of("tq2_0", {2, 3, 256}), (Shape{2, 3, 66}));
  EXPECT_EQ(shape_of("q2_0", {128}), (Shape{36}));
  EXPECT_EQ(shape_of("q4_0", {3, 64}), (Shape{3, 36}));
  EXPECT_EQ(shape_of("q8_0", {3, 64}), (Shape{3, 68}));
  EXPECT_EQ(shape_of("iq2_bn", {3, 128}), (Shape{3, 36}));
  EXPECT_EQ(shape_of("iq2_bn", {3, 0}), (Shape{3, 0}));
  EXPECT_EQ(shape_of("i2_s", {3, 128}), (Shape{3 * 32 + 32}));
  EXPECT_EQ(shape_of("i2_s_1x4", {4, 6}), (Shape{6 + 32}));
}

/// Blocks of q8_0 are larger than their codes, and the last group of a row of ONNX is filled up.
TEST(BlockLayouts, StorageOfHugeShapesDoesNotWrap) {
  constexpr std::int64_t depth = (std::int64_t{1} << 62) + ((std::int64_t{1} << 62) - 256);
  const auto bytes_of = [](const char* layout, const Scheme& scheme, const Shape& shape) {
    return Layout::parse(layout).storage_bytes(scheme, shape);
  };
  EXPECT_EQ(bytes_of("tq2_0", ternary, {depth}), static_cast<std::size_t>(depth / 256 * 66));
  EXPECT_BNQ_ERROR(bytes_of("q8_0", ternary, {depth}), ErrorKind::invalid_argument, "too many bytes");
  EXPECT_BNQ_ERROR(bytes_of("q8_0", ternary, {depth / 32, 32}), ErrorKind::invalid_argument, "too many");
  EXPECT_EQ(bytes_of("i2_s", ternary, {depth}), static_cast<std::size_t>(depth / 4 + 32));
  EXPECT_BNQ_ERROR(bytes_of("u8_ort", Scheme::parse("8:group(256)"), {depth, 1}), ErrorKind::invalid_argument,
                   "too many");
}

/// What a GGUF file has to know: the type's number, and the size of a block as ggml has it.
TEST(BlockLayouts, TypesOfGgml) {
  std::vector<int> ids;
  for (const Layout& layout : Layout::all()) {
    const auto& ggml = layout.row().ggml;
    if (!ggml) continue;
    ids.push_back(ggml->id);
    const Scheme scheme = Scheme::parse(ggml->scheme);
    const Shape shape{4, 2 * ggml->block_elems};
    EXPECT_EQ(layout.refusal(scheme, shape), "") << layout.name();
    const auto around = static_cast<std::int64_t>(layout.storage_bytes(scheme, shape)) - 8 * ggml->block_bytes;
    EXPECT_EQ(around, layout.name() == "iq2_bn" ? 4 * 4 : layout.name() == "i2_s" ? 32 : 0) << layout.name();
  }
  EXPECT_EQ(ids, (std::vector<int>{34, 35, 42, 2, 8, 135, 36}));
}

/// Codes of every scheme and shape, with many blocks on more than one thread.
TEST(BlockLayouts, LargeTensorsAreTheOracles) {
  Random random(41);
  for (const Shape& shape : {Shape{520, 256}, Shape{4, 3, 768}, Shape{1, 131'072}, Shape{0, 256}, Shape{4, 0}}) {
    std::vector<int> codes(static_cast<std::size_t>(element_count(shape)));
    for (int& code : codes) code = static_cast<int>(random.integer(-1, 1));
    for (const Layout& layout : Layout::all()) {
      if (!layout.holds_scales() || !layout.refusal(ternary, shape).empty()) continue;
      const QuantizedTensor q = quantized(ternary, shape, codes, 1.5F);
      const std::vector<std::byte> bytes = as_bytes(oracle::pack(std::string(layout.name()), code_table(q)));
      ASSERT_TRUE(same_values(unpack(packed(layout.name(), ternary, shape, bytes)), q)) << layout.name();
      if (layout.is_read_only()) continue;
      ASSERT_TRUE(same_bytes(pack(q, layout).data(), bytes)) << layout.name();
    }
  }
}

/// Any bytes are a tensor, or refused as bad content: nothing else happens.
TEST(BlockLayouts, RandomBytes) {
  Random random(42);
  for (const Layout& layout : Layout::all()) {
    if (!layout.holds_scales()) continue;
    for (const char* scheme : {"ternary", "ternary:row", "int8-given:group(256)", "int5-given:group(32)"}) {
      const Scheme read_as = Scheme::parse(scheme);
      if (!layout.refusal(read_as, {4, 256}).empty()) continue;
      for (int round = 0; round < 200; ++round) {
        std::vector<std::byte> bytes(layout.storage_bytes(read_as, {4, 256}));
        for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.integer(0, 255));
        try {
          const QuantizedTensor q = unpack(packed(layout.name(), read_as, {4, 256}, bytes));
          for (const float scale : q.scales()) ASSERT_TRUE(std::isfinite(scale) && scale >= 0);
        } catch (const Error& error) {
          ASSERT_EQ(error.kind(), ErrorKind::bad_content) << error.what();
        }
      }
    }
  }
}

}  // namespace
}  // namespace bnq::test
