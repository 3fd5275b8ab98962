// No result depends on the number of threads, nor on the floating-point control state of the caller, which comes back
// as it was.

#include "support/distributions.h"
#include "support/environment.h"
#include "support/expect_error.h"
#include "support/float_control.h"
#include "support/oracle_bridge.h"

#include <bnq/bnq.h>

#include <gtest/gtest.h>

#include <limits>
#include <thread>
#include <vector>

namespace bnq::test {
namespace {

/// Elements enough for seven threads, with a tail that is no multiple of anything.
const Shape large{521, 1009};

Tensor large_tensor(std::uint64_t stream, Values kind) {
  Random random(stream);
  return make_tensor(DType::f32, large, random_values(random, kind, {521, 1009}, {.levels = 127, .largest = 1e38F}));
}

std::vector<Scheme> schemes_of_every_granularity() {
  std::vector<Scheme> schemes;
  for (const Scheme& rule : Scheme::all()) {
    for (const Granularity& granularity : {Granularity::tensor(), Granularity::row(), Granularity::group(50)}) {
      schemes.push_back(rule.with(granularity));
    }
  }
  return schemes;
}

/// Everything that is computed from a tensor with one scheme.
struct Results {
  QuantizedTensor quantized;
  PackedTensor packed;
  QuantizedTensor unpacked;
  Tensor values;
  std::int64_t held;
  Report report;
};

Results compute(const Tensor& w, const Scheme& scheme) {
  QuantizedTensor q = quantize(w.view(), scheme);
  PackedTensor p = pack(q);
  QuantizedTensor u = unpack(p);
  Tensor values(DType::f16, w.shape());
  const std::int64_t held = dequantize_into(q, values.mutable_view());
  Report r = report(w.view(), q);
  return {std::move(q), std::move(p), std::move(u), std::move(values), held, r};
}

void expect_same(const Results& a, const Results& b) {
  EXPECT_TRUE(same(a.quantized, as_oracle(b.quantized)));
  EXPECT_TRUE(same_bytes(a.packed.data(), b.packed.data()));
  EXPECT_TRUE(same_values(a.unpacked, a.quantized));
  EXPECT_TRUE(same_values(a.unpacked, b.unpacked));
  EXPECT_TRUE(same_bytes(a.values.bytes(), b.values.bytes()));
  EXPECT_EQ(a.held, b.held);
  EXPECT_EQ(a.report.signal, b.report.signal);
  EXPECT_EQ(a.report.noise, b.report.noise);
  EXPECT_EQ(a.report.sqnr_db, b.report.sqnr_db);
  EXPECT_EQ(a.report.cosine, b.report.cosine);
  EXPECT_EQ(a.report.max_abs_error, b.report.max_abs_error);
  EXPECT_EQ(a.report.zero_share, b.report.zero_share);
  EXPECT_EQ(a.report.saturated_share, b.report.saturated_share);
}

TEST(Threads, OneTwoAndSevenGiveTheSameBits) {
  const Tensor w = large_tensor(10, Values::heavy_tailed);
  for (const Scheme& scheme : schemes_of_every_granularity()) {
    SCOPED_TRACE(scheme.to_string());
    const ThreadCount one(1);
    const Results alone = compute(w, scheme);
    for (const int threads : {2, 7}) {
      const ThreadCount count(threads);
      expect_same(compute(w, scheme), alone);
    }
  }
}

TEST(Threads, OneGranuleSplitOverSevenEqualsTheOracle) {
  const Tensor w = large_tensor(11, Values::heavy_tailed);
  const ThreadCount seven(7);
  for (const Scheme& rule : Scheme::all()) {
    const Scheme scheme = rule.with(Granularity::tensor());
    EXPECT_TRUE(same(quantize(w.view(), scheme), oracle_quantize(floats_of(w), w.shape(), scheme)))
        << scheme.to_string();
  }
}

TEST(Threads, SeveralCallersAtOnce) {
  const Tensor w = large_tensor(12, Values::gaussian);
  const Scheme scheme = Scheme::parse("ternary");
  const QuantizedTensor want = quantize(w.view(), scheme);
  std::vector<::testing::AssertionResult> results(4, ::testing::AssertionFailure() << "did not run");
  std::vector<std::thread> threads;
  for (auto& result : results) {
    threads.emplace_back([&] { result = same(quantize(w.view(), scheme), as_oracle(want)); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& result : results) EXPECT_TRUE(result);
}

class FloatState : public ::testing::TestWithParam<int> {};

TEST_P(FloatState, OfTheCallerChangesNothingAndComesBack) {
  const ThreadCount threads(GetParam());
  for (const Values kind : {Values::subnormal, Values::huge, Values::gaussian}) {
    const Tensor w = large_tensor(13, kind);
    for (const char* text : {"8", "4:tensor", "ternary", "ternary:row", "binary", "int8-token"}) {
      SCOPED_TRACE(text);
      const Scheme scheme = Scheme::parse(text);
      const Results want = compute(w, scheme);
      const HostileFloatControl hostile;
      const Results got = compute(w, scheme);
      const bool untouched = hostile.untouched();
      EXPECT_TRUE(untouched);
      expect_same(got, want);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, FloatState, ::testing::Values(1, 7));

/// Small tensors take other paths: no thread, no list of blocks.
TEST(FloatStateSmall, OfTheCallerChangesNothing) {
  Random random(14);
  for (const Values kind : {Values::subnormal, Values::huge}) {
    for (const Scheme& scheme : schemes_of_every_granularity()) {
      const Tensor w = make_tensor(DType::f32, {3, 37},
                                   random_values(random, kind, {3, 37}, {.levels = 127, .largest = 0x1.FFFFFEp127F}));
      const oracle::Quantized want = oracle_quantize(floats_of(w), w.shape(), scheme);
      const oracle::Dequantized values =
          oracle::dequantize(want, oracle_granules(w.shape(), scheme.granularity()), "f32");
      const Tensor want_values = make_tensor(DType::f32, w.shape(), values.values);
      const HostileFloatControl hostile;
      const QuantizedTensor q = quantize(w.view(), scheme);
      const Tensor got_values = dequantize(q);
      EXPECT_TRUE(same(q, want)) << scheme.to_string();
      EXPECT_TRUE(same_bytes(got_values.bytes(), want_values.bytes())) << scheme.to_string();
      EXPECT_TRUE(hostile.untouched());
    }
  }
}

TEST(FloatStateSmall, ComesBackAfterAnError) {
  const Tensor bad = make_tensor({1.0F, std::numeric_limits<float>::quiet_NaN()});
  const HostileFloatControl hostile;
  EXPECT_BNQ_ERROR(quantize(bad.view(), Scheme::parse("8")), ErrorKind::bad_content, "NaN");
  EXPECT_TRUE(hostile.untouched());
}

/// Activations near the floor, whose products are subnormal.
TEST(FloatStateSmall, LinearIsTheSame) {
  Random random(15);
  for (const char* text : {"8", "4:group(8)", "ternary"}) {
    const Tensor w = make_tensor(DType::f32, {9, 31},
                                 random_values(random, Values::subnormal, {9, 31}, {.levels = 127, .largest = 1e38F}));
    const Tensor x = make_tensor(DType::f32, {5, 31},
                                 random_values(random, Values::mixed_rows, {5, 31}, {.levels = 127, .largest = 1e38F}));
    const Linear linear(quantize(w.view(), Scheme::parse(text)));
    std::vector<std::byte> scratch(linear.scratch_bytes(5));
    Tensor want(DType::f32, {5, 9});
    Tensor got(DType::f32, {5, 9});
    linear.forward(x.view(), want.mutable_view(), scratch);
    {
      const HostileFloatControl hostile;
      linear.forward(x.view(), got.mutable_view(), scratch);
      EXPECT_TRUE(hostile.untouched());
    }
    EXPECT_TRUE(same_bytes(got.bytes(), want.bytes())) << text;
  }
}

}  // namespace
}  // namespace bnq::test
