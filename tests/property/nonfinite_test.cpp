// NaN and infinity are found wherever they stand, and the message says where. Other dtypes are refused.

#include "support/distributions.h"
#include "support/environment.h"
#include "support/expect_error.h"
#include "support/oracle_bridge.h"
#include "support/strided.h"

#include <bnq/bnq.h>

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace bnq::test {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

struct Bad {
  float value;
  std::string_view text;
};

const std::array<Bad, 4> bad_values{{
    {std::numeric_limits<float>::quiet_NaN(), "NaN at "},
    {-std::numeric_limits<float>::quiet_NaN(), "NaN at "},
    {infinity, "got infinity at "},
    {-infinity, "got -infinity at "},
}};

void put(Tensor& tensor, std::size_t at, float value) {
  const std::size_t size = size_bytes(tensor.dtype());
  store({&value, 1}, tensor.dtype(), tensor.bytes().data() + at * size);
}

TEST(Nonfinite, InEveryLaneAndTail) {
  const Scheme schemes[] = {Scheme::parse("8"), Scheme::parse("ternary"), Scheme::parse("4:group(8)"),
                            Scheme::activations()};
  for (const DType dtype : float_dtypes) {
    for (std::int64_t length = 1; length <= 70; ++length) {
      for (std::int64_t at = 0; at < length; ++at) {
        Tensor tensor = make_tensor(dtype, {length}, std::vector<float>(static_cast<std::size_t>(length), 0.5F));
        const Bad& bad = bad_values[static_cast<std::size_t>(at) % 4];
        put(tensor, static_cast<std::size_t>(at), bad.value);
        const Scheme& scheme = schemes[static_cast<std::size_t>(at / 4) % 4];
        ASSERT_BNQ_ERROR(quantize(tensor.view(), scheme), ErrorKind::bad_content, "quantize", bad.text,
                         "[" + std::to_string(at) + "]");
      }
    }
  }
}

TEST(Nonfinite, EveryValueUnderEveryScheme) {
  for (const Scheme& rule : Scheme::all()) {
    for (const Granularity& granularity : {Granularity::tensor(), Granularity::row(), Granularity::group(3)}) {
      for (const DType dtype : float_dtypes) {
        for (const Bad& bad : bad_values) {
          Tensor tensor = make_tensor(dtype, {4, 5, 7}, std::vector<float>(140, -0.25F));
          put(tensor, (2 * 5 + 3) * 7 + 4, bad.value);
          put(tensor, (3 * 5 + 0) * 7 + 0, infinity);
          EXPECT_BNQ_ERROR(quantize(tensor.view(), rule.with(granularity)), ErrorKind::bad_content, bad.text,
                           "[2, 3, 4]");
        }
      }
    }
  }
}

/// Signalling NaNs, and NaNs with any payload, of a 16-bit float or a 32-bit one.
TEST(Nonfinite, AnyPayload) {
  for (const std::uint32_t bits : {0x7F80'0001U, 0x7FBF'FFFFU, 0xFF80'0001U, 0xFFFF'FFFFU, 0x7FC0'0000U}) {
    const Tensor tensor = make_tensor({1.0F, oracle::f32_from_bits(bits)});
    EXPECT_BNQ_ERROR(quantize(tensor.view(), Scheme::parse("8")), ErrorKind::bad_content, "NaN at [1]");
  }
  for (const DType dtype : {DType::f16, DType::bf16}) {
    for (const std::uint16_t bits : {std::uint16_t{0x7FFF}, std::uint16_t{0xFFFF}, std::uint16_t{0x7F81}}) {
      const std::uint16_t memory[] = {0, 0, bits};
      EXPECT_BNQ_ERROR(quantize(TensorView(memory, dtype, {3}), Scheme::parse("8")), ErrorKind::bad_content,
                       "NaN at [2]");
    }
  }
}

/// The first one is named whatever the number of threads, at the edges of blocks and of parts of the work.
TEST(Nonfinite, TheFirstOfMany) {
  const std::int64_t elements = 500'003;
  for (const int threads : {1, 7}) {
    const ThreadCount count(threads);
    for (const std::int64_t at : {0, 4095, 4096, 65'535, 65'536, 71'429, 249'999, 500'002}) {
      Tensor tensor = make_tensor(DType::f32, {elements}, std::vector<float>(500'003, 1.0F));
      for (std::int64_t i = at; i < elements; i += 31'013) put(tensor, static_cast<std::size_t>(i), -infinity);
      for (const char* scheme : {"ternary", "8", "8:group(1000)"}) {
        EXPECT_BNQ_ERROR(quantize(tensor.view(), Scheme::parse(scheme)), ErrorKind::bad_content,
                         "got -infinity at [" + std::to_string(at) + "]");
      }
    }
  }
}

TEST(Nonfinite, InAStridedView) {
  Tensor matrix = make_tensor(DType::f32, {5, 6}, std::vector<float>(30, 1.0F));
  put(matrix, 3 * 6 + 4, infinity);
  for (const auto& [placement, title] : placements) {
    const StridedMatrix strided(matrix, placement);
    EXPECT_BNQ_ERROR(quantize(strided.view(), Scheme::parse("8")), ErrorKind::bad_content, "infinity at [3, 4]")
        << title;
  }
}

TEST(Nonfinite, InAScalar) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_BNQ_ERROR(quantize(TensorView(&nan, DType::f32, {}), Scheme::parse("8")), ErrorKind::bad_content, "NaN at []");
}

TEST(Nonfinite, InTheOriginalOfAReport) {
  Tensor tensor = make_tensor(DType::f32, {3, 5000}, std::vector<float>(15'000, 1.0F));
  const QuantizedTensor q = quantize(tensor.view(), Scheme::parse("8"));
  put(tensor, 14'000, infinity);
  put(tensor, 9'001, std::numeric_limits<float>::quiet_NaN());
  EXPECT_BNQ_ERROR(report(tensor.view(), q), ErrorKind::bad_content, "report", "[1, 4001]");
}

TEST(Dtypes, OthersAreRefusedWithACure) {
  std::vector<std::byte> memory(64);
  for (int i = 0; i <= static_cast<int>(DType::c64); ++i) {
    const auto dtype = static_cast<DType>(i);
    if (is_quantizable(dtype)) continue;
    for (const Shape& shape : {Shape{2, 4}, Shape{0, 4}}) {
      EXPECT_BNQ_ERROR(quantize(TensorView(memory.data(), dtype, shape), Scheme::parse("8")), ErrorKind::unsupported,
                       "got " + std::string(name(dtype)), "f32, f16 or bf16", "convert");
    }
    const QuantizedTensor q = quantize(TensorView(memory.data(), DType::f32, {2, 4}), Scheme::parse("8"));
    EXPECT_BNQ_ERROR(report(TensorView(memory.data(), dtype, {2, 4}), q), ErrorKind::unsupported, name(dtype));
    EXPECT_BNQ_ERROR(dequantize(q, dtype), ErrorKind::unsupported, name(dtype));
  }
}

}  // namespace
}  // namespace bnq::test
