#include "support/expect_error.h"
#include "support/guarded_buffer.h"
#include "support/hex.h"
#include "support/oracle_bridge.h"
#include "support/packed.h"

#include <bnq/layout.h>

#include <gtest/gtest.h>

#include <limits>

namespace bnq::test {
namespace {

const Layout i8 = Layout::parse("i8");

PackedTensor make(const Scheme& scheme, const Shape& shape, std::span<const std::byte> data, const Tensor& scales) {
  return {i8, scheme, DType::f32, shape, data, nullptr, scales};
}

TEST(PackedTensor, ChecksSizes) {
  const std::vector<std::byte> data(6);
  const Tensor scales(DType::f32, {2, 1});
  const Scheme scheme = Scheme::parse("8");
  EXPECT_NO_THROW((void)make(scheme, {2, 3}, data, scales));
  EXPECT_BNQ_ERROR(make(scheme, {2, 4}, data, scales), ErrorKind::invalid_argument, "got 6, need 8");
  EXPECT_BNQ_ERROR(make(scheme, {2, 2}, data, scales), ErrorKind::invalid_argument, "got 6, need 4");
  EXPECT_BNQ_ERROR(make(scheme, {3, 2}, data, scales), ErrorKind::invalid_argument, "scales", "[2, 1]", "[3, 1]");
  EXPECT_BNQ_ERROR(make(scheme, {2, 3}, data, Tensor(DType::i32, {2, 1})), ErrorKind::invalid_argument, "i32", "f32");
  EXPECT_BNQ_ERROR(make(scheme, {-2, -3}, data, scales), ErrorKind::invalid_argument, "negative");
  EXPECT_BNQ_ERROR(make(scheme, {1LL << 32, 1LL << 32}, data, scales), ErrorKind::invalid_argument,
                   "too many elements");
}

TEST(PackedTensor, ChecksScalesAndDtype) {
  const std::vector<std::byte> data(6);
  Tensor scales(DType::f32, {1});
  const Scheme scheme = Scheme::parse("8:tensor");
  for (const float bad : {-1.0F, std::numeric_limits<float>::infinity(), std::nanf("")}) {
    scales.data<float>()[0] = bad;
    EXPECT_BNQ_ERROR(make(scheme, {2, 3}, data, scales), ErrorKind::invalid_argument, "scale 0");
  }
  scales.data<float>()[0] = 0;
  EXPECT_NO_THROW((void)make(scheme, {2, 3}, data, scales));
  EXPECT_BNQ_ERROR(PackedTensor(i8, scheme, DType::f64, {2, 3}, data, nullptr, scales), ErrorKind::unsupported, "f64");
}

TEST(PackedTensor, RefusesWhatTheLayoutCannotHold) {
  const std::vector<std::byte> data(2);
  const Tensor scales(DType::f32, {1});
  EXPECT_BNQ_ERROR(
      PackedTensor(Layout::parse("u2_hf"), Scheme::parse("ternary"), DType::f32, {2, 4}, data, nullptr, scales),
      ErrorKind::unsupported, "multiples of 4", "layouts that can: i32_ct, i8");
}

TEST(PackedTensor, KeepsItsBytesAlive) {
  auto bytes = std::make_shared<std::vector<std::byte>>(from_hex("01 ff 00"));
  const std::weak_ptr<std::vector<std::byte>> watch = bytes;
  std::optional<PackedTensor> p;
  p.emplace(i8, Scheme::parse("8:tensor"), DType::bf16, Shape{3}, *bytes, bytes, Tensor(DType::f32, {1}));
  bytes.reset();
  const PackedTensor copy = *p;
  p.reset();
  EXPECT_FALSE(watch.expired());
  EXPECT_EQ(codes_of(unpack(copy)), (std::vector<int>{1, -1, 0}));
  EXPECT_EQ(unpack(copy).dtype(), DType::bf16);
}

/// True bits: every stored byte, padding and scales too, over the number of weights.
TEST(PackedTensor, BitsPerWeight) {
  const auto bits = [](const char* scheme, const Shape& shape) {
    const auto elements = static_cast<std::size_t>(element_count(shape));
    return pack(quantized(Scheme::parse(scheme), shape, std::vector<int>(elements, 1))).bits_per_weight();
  };
  EXPECT_EQ(bits("8", {2, 16}), (2 * 16 + 2 * 4) * 8 / 32.0);
  EXPECT_EQ(bits("ternary", {8, 16}), (2 * 16 + 4) * 8 / 128.0);
  EXPECT_EQ(bits("4:group(8)", {2, 20}), (2 * 12 + 2 * 3 * 4) * 8 / 40.0);  // 20 codes: 80 bits: three words
  EXPECT_EQ(bits("binary:row", {3, 9}), (3 * 2 + 3 * 4) * 8 / 27.0);
  EXPECT_EQ(bits("8", {2, 0}), 0);
}

TEST(PackedTensor, Nbytes) {
  const PackedTensor p = pack(quantized(Scheme::parse("8"), {2, 16}, std::vector<int>(32, 1)));
  EXPECT_EQ(p.nbytes(), 32U + 8U);
}

PackedTensor guarded_tensor(const Layout& layout, const QuantizedTensor& q, GuardedBuffer& memory) {
  if (layout.holds_scales()) return {layout, q.scheme(), DType::f32, q.shape(), memory.bytes(), nullptr};
  Tensor scales(DType::f32, {1});
  scales.data<float>()[0] = 1;
  return {layout, q.scheme(), DType::f32, q.shape(), memory.bytes(), nullptr, scales};
}

/// Neither packing nor unpacking touches a byte outside the tensor.
TEST(PackedTensor, FlushAgainstAGuardPage) {
  for (const Scheme& rule : Scheme::all()) {
    for (const std::int64_t depth : {1, 7, 8, 31, 32, 33, 64, 65, 256}) {
      const Scheme scheme = rule.with(Granularity::tensor());
      const QuantizedTensor q = quantized(scheme, {4, depth}, std::vector<int>(static_cast<std::size_t>(4 * depth), 1));
      for (const Layout& layout : Layout::all()) {
        if (!layout.refusal(scheme, q.shape()).empty()) continue;
        const std::vector<std::byte> bytes = as_bytes(oracle::pack(std::string(layout.name()), code_table(q)));
        for (const auto guard : {GuardedBuffer::Guard::before, GuardedBuffer::Guard::behind}) {
          GuardedBuffer memory(bytes.size(), guard);
          memory.assign(bytes);
          EXPECT_TRUE(same_values(unpack(guarded_tensor(layout, q, memory)), q)) << layout.name();
        }
      }
    }
  }
}

TEST(Unpack, NamesTheFirstForeignCode) {
  const PackedTensor p = packed("i8", Scheme::parse("4:tensor"), {2, 3}, from_hex("01 07 f9 00 08 80"));
  EXPECT_BNQ_ERROR(unpack(p), ErrorKind::bad_content, "unpack i8", "int4-absmax", "8 at [1, 1]", "-7 to 7", "damaged");
}

TEST(Unpack, NamesAForeignCodeFarBehind) {
  std::vector<std::byte> bytes(9001, std::byte{1});
  bytes[8999] = std::byte{0};
  const PackedTensor p = packed("i8", Scheme::parse("binary"), {9001}, bytes);
  EXPECT_BNQ_ERROR(unpack(p), ErrorKind::bad_content, "0 at [8999]", "-1 to 1 without 0");
}

}  // namespace
}  // namespace bnq::test
