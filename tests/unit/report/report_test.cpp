#include "support/distributions.h"
#include "support/expect_error.h"
#include "support/oracle_bridge.h"
#include "support/packed.h"

#include <bnq/report.h>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace bnq::test {
namespace {

/// The definitions of bnq/report.h as one plain loop.
Report naive(const std::vector<float>& w, const QuantizedTensor& q) {
  Report r;
  double dot = 0;
  double quantized_square = 0;
  std::int64_t zeros = 0;
  std::int64_t saturated = 0;
  const auto granules = oracle_granules(q.shape(), q.scheme().granularity());
  const std::vector<float> values = oracle::dequantize(as_oracle(q), granules, "f32").values;
  r.lossless = true;
  for (std::size_t g = 0; g < granules.size(); ++g) {
    for (const std::size_t i : granules[g]) {
      const auto original = static_cast<double>(w[i]);
      const auto value = static_cast<double>(values[i]);
      const double error = original - value;
      r.signal += original * original;
      r.noise += error * error;
      dot += original * value;
      quantized_square += value * value;
      r.max_abs_error = std::max(r.max_abs_error, std::fabs(error));
      r.lossless = r.lossless && w[i] == values[i];
      zeros += q.codes()[i] == 0 ? 1 : 0;
      const double outermost = q.scheme().max_code() * static_cast<double>(q.scales()[g]);
      saturated += std::fabs(original) > outermost + static_cast<double>(q.scales()[g]) / 2 ? 1 : 0;
    }
  }
  const auto count = static_cast<double>(w.size());
  r.cosine = dot / std::sqrt(r.signal * quantized_square);
  r.sqnr_db = 10 * std::log10(r.signal / r.noise);
  r.zero_share = static_cast<double>(zeros) / count;
  r.saturated_share = static_cast<double>(saturated) / count;
  return r;
}

/// Sums of n products that are added in another order differ by at most n * 2^-53 of the sum of their magnitudes, each,
/// so twice that between the two (first order in 2^-53). The cosine is a quotient of two such sums and roots of them.
void expect_near(const Report& got, const Report& want, std::size_t n) {
  const double slack = 2 * static_cast<double>(n) * 0x1p-53;
  EXPECT_NEAR(got.signal, want.signal, want.signal * slack);
  EXPECT_NEAR(got.noise, want.noise, want.noise * slack);
  EXPECT_EQ(got.max_abs_error, want.max_abs_error);
  EXPECT_EQ(got.zero_share, want.zero_share);
  EXPECT_EQ(got.saturated_share, want.saturated_share);
  EXPECT_EQ(got.lossless, want.lossless);
  EXPECT_EQ(got.elements, static_cast<std::int64_t>(n));
  if (want.lossless) return;
  EXPECT_NEAR(got.cosine, want.cosine, 4 * slack);
  // d(10 log10 x) = 10 / ln 10 * dx / x, with both sums off by the slack
  EXPECT_NEAR(got.sqnr_db, want.sqnr_db, 10 / std::log(10.0) * 2 * slack + std::fabs(want.sqnr_db) * 0x1p-50);
}

TEST(Report, EqualsTheDefinitions) {
  Random random(60);
  for (const Scheme& rule : Scheme::all()) {
    for (const Granularity& granularity : {Granularity::tensor(), Granularity::row(), Granularity::group(50)}) {
      for (const Values kind : {Values::gaussian, Values::heavy_tailed, Values::huge, Values::mixed_rows}) {
        for (const DType dtype : float_dtypes) {
          const Shape shape{7, 1301};
          const ValueLimits limits{.levels = rule.max_code(), .largest = 60'000};
          const Tensor w = make_tensor(dtype, shape, random_values(random, kind, {7, 1301}, limits));
          const QuantizedTensor q = quantize(w.view(), rule.with(granularity));
          SCOPED_TRACE(q.scheme().to_string() + " " + std::string(name(dtype)) + ", " + random.describe());
          const Report r = report(w.view(), q);
          const std::vector<float> values = floats_of(w);
          expect_near(r, naive(values, q), values.size());
          EXPECT_EQ(r.bits_per_weight, q.bits_per_weight());
          EXPECT_EQ(r.granules, granule_count(shape, granularity));
          EXPECT_EQ(r.floored_granules, q.counts().floored_granules);
          EXPECT_EQ(r.prequantized_granules, q.counts().prequantized_granules);
        }
      }
    }
  }
}

TEST(Report, HandComputed) {
  const Tensor w = make_tensor({3.0F, -1.0F, 0.25F, 0.0F});
  const QuantizedTensor q = quantized(Scheme::parse("ternary"), {4}, {1, -1, 0, 0}, 1.5F);
  const Report r = report(w.view(), q);
  EXPECT_EQ(r.signal, 9 + 1 + 0.0625);
  EXPECT_EQ(r.noise, 2.25 + 0.25 + 0.0625);
  EXPECT_DOUBLE_EQ(r.sqnr_db, 10 * std::log10(10.0625 / 2.5625));
  EXPECT_DOUBLE_EQ(r.cosine, (4.5 + 1.5) / std::sqrt(10.0625 * 4.5));
  EXPECT_EQ(r.max_abs_error, 1.5);
  EXPECT_EQ(r.zero_share, 0.5);
  EXPECT_EQ(r.saturated_share, 0.25);  // 3 > 2.25
  EXPECT_EQ(r.granules, 1);
  EXPECT_FALSE(r.lossless);
}

TEST(Report, Saturation) {
  const QuantizedTensor q = quantized(Scheme::parse("4:tensor"), {4}, {7, 7, -7, -7}, 1.0F);
  const Tensor w = make_tensor({7.5F, 0x1.E00002p2F, -7.5F, -8.0F});  // 7.5 is the limit, the second is just past it
  EXPECT_EQ(report(w.view(), q).saturated_share, 0.5);
}

TEST(Report, LosslessTensors) {
  const Tensor ternary = make_tensor(DType::bf16, {2, 3}, {0.5F, 0, -0.5F, -0.5F, 0.5F, 0});
  for (const char* scheme : {"ternary", "8", "2:row"}) {
    const Report r = report(ternary.view(), quantize(ternary.view(), Scheme::parse(scheme)));
    EXPECT_TRUE(r.lossless) << scheme;
    EXPECT_EQ(r.noise, 0);
    EXPECT_EQ(r.sqnr_db, std::numeric_limits<double>::infinity());
    EXPECT_EQ(r.cosine, 1);
    EXPECT_EQ(r.max_abs_error, 0);
  }
}

TEST(Report, ZeroTensors) {
  const Tensor zeros(DType::f32, {2, 3});
  for (const Scheme& scheme : Scheme::all()) {
    const Report r = report(zeros.view(), quantize(zeros.view(), scheme));
    EXPECT_TRUE(r.lossless) << scheme.to_string();
    EXPECT_EQ(r.cosine, 1);
    EXPECT_EQ(r.sqnr_db, std::numeric_limits<double>::infinity());
    EXPECT_EQ(r.floored_granules, scheme.has_zero() ? r.granules : 0);
    EXPECT_EQ(r.zero_share, scheme.has_zero() ? 1 : 0);
  }
}

/// Only one of the two is zero: the directions have nothing in common.
TEST(Report, AgainstZeros) {
  const Tensor tiny = make_tensor({1e-7F, -2e-7F});
  const Report swallowed = report(tiny.view(), quantize(tiny.view(), Scheme::parse("ternary")));
  EXPECT_EQ(swallowed.cosine, 0);
  EXPECT_EQ(swallowed.floored_granules, 1);
  EXPECT_FALSE(swallowed.lossless);
  EXPECT_EQ(swallowed.sqnr_db, 0);  // all of the signal is noise
  const Tensor zeros(DType::f32, {2});
  const Report from_zero = report(zeros.view(), quantized(Scheme::parse("8"), {2}, {1, 1}));
  EXPECT_EQ(from_zero.cosine, 0);
  EXPECT_EQ(from_zero.sqnr_db, -std::numeric_limits<double>::infinity());
}

TEST(Report, NoiseThatFloatsCannotSquare) {
  const Tensor tiny = make_tensor({0x1p-149F, 0x1p-126F});
  const Report r = report(tiny.view(), quantize(tiny.view(), Scheme::parse("8")));
  EXPECT_GT(r.noise, 0);
  EXPECT_TRUE(std::isfinite(r.sqnr_db));
}

TEST(Report, CountsGranules) {
  const Tensor w = make_tensor(DType::f32, {4, 2}, {0, 0, 1e-7F, 3e-7F, 0.5F, -0.5F, 1.0F, 2.0F});
  const Report r = report(w.view(), quantize(w.view(), Scheme::parse("ternary:row")));
  EXPECT_EQ(r.granules, 4);
  EXPECT_EQ(r.floored_granules, 2);
  EXPECT_EQ(r.prequantized_granules, 1);
}

TEST(Report, RefusesAnotherShape) {
  const Tensor w(DType::f32, {2, 3});
  const Tensor other(DType::f32, {3, 2});
  EXPECT_BNQ_ERROR(report(other.view(), quantize(w.view(), Scheme::parse("8"))), ErrorKind::invalid_argument, "report",
                   "[3, 2]", "[2, 3]");
}

}  // namespace
}  // namespace bnq::test
