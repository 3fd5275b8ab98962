// There and back: what quantizing keeps, and how far it may move a value.

#include "support/distributions.h"
#include "support/oracle_bridge.h"
#include "support/test_scale.h"

#include <bnq/bnq.h>

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace bnq::test {
namespace {

constexpr std::array<std::size_t, 2> size{6, 150};
const Shape shape{6, 150};

std::vector<Granularity> granularities() {
  return {Granularity::tensor(), Granularity::row(), Granularity::group(1), Granularity::group(7),
          Granularity::group(64)};
}

ValueLimits limits_of(DType dtype, const Scheme& scheme) {
  return {.levels = scheme.max_code(), .largest = dtype == DType::f16 ? 65504.0F : 0x1.FEp127F};
}

QuantizedTensor quantize_floats(const std::vector<float>& values, const Scheme& scheme) {
  const Tensor tensor = make_tensor(DType::f32, shape, values);
  return quantize(tensor.view(), scheme);
}

/// The scale of every element.
std::vector<double> scales_by_element(const QuantizedTensor& q) {
  std::vector<double> scales(static_cast<std::size_t>(q.elements()));
  const auto granules = oracle_granules(q.shape(), q.scheme().granularity());
  for (std::size_t g = 0; g < granules.size(); ++g) {
    for (const std::size_t i : granules[g]) scales[i] = static_cast<double>(q.scales()[g]);
  }
  return scales;
}

TEST(RoundTrip, TernaryValuesComeBackExactly) {
  Random random(30);
  for (const DType dtype : float_dtypes) {
    const oracle::FloatFormat format = oracle::format_called(std::string(name(dtype)));
    const int smallest = 1 - format.bias() - format.fraction_bits;  // exponent of the smallest subnormal
    for (int exponent = smallest; exponent < format.bias(); exponent += random.integer(0, 1) == 0 ? 1 : 3) {
      const float a =
          oracle::rounded_to(std::string(name(dtype)), static_cast<float>(std::ldexp(1 + random.unit(), exponent)));
      std::vector<float> values(30);
      for (float& value : values) value = a * static_cast<float>(random.integer(-1, 1));
      const Tensor v = make_tensor(dtype, {3, 10}, values);
      for (const Granularity& granularity : granularities()) {
        const QuantizedTensor q = quantize(v.view(), Scheme::parse("ternary").with(granularity));
        const std::vector<float> back = floats_of(dequantize(q));
        const std::vector<float> want = floats_of(v);
        for (std::size_t i = 0; i < want.size(); ++i) {
          ASSERT_EQ(back[i], want[i]) << std::hexfloat << "a = " << a << " " << name(dtype) << " "
                                      << granularity.to_string() << ", " << random.describe();
        }
        EXPECT_EQ(q.counts().prequantized_granules + q.counts().floored_granules,
                  static_cast<std::int64_t>(q.scales().size()));
        EXPECT_TRUE(report(v.view(), q).lossless);
      }
    }
  }
}

/// Only binary may move: its threshold is the mean.
TEST(RoundTrip, QuantizingTheResultAgainChangesNoCode) {
  Random random(31);
  for (std::int64_t round = 0; round < scaled(20); ++round) {
    for (const Scheme& rule : Scheme::all()) {
      if (!rule.has_zero()) continue;
      for (const auto& [kind, title] : all_values) {
        const Tensor w = make_tensor(DType::f32, shape, random_values(random, kind, size, limits_of(DType::f32, rule)));
        for (const Granularity& granularity : granularities()) {
          const Scheme scheme = rule.with(granularity);
          const QuantizedTensor once = quantize(w.view(), scheme);
          const Tensor values = dequantize(once);
          const QuantizedTensor twice = quantize(values.view(), scheme);
          ASSERT_TRUE(std::ranges::equal(once.codes(), twice.codes()))
              << scheme.to_string() << " " << title << ", " << random.describe();
        }
      }
    }
  }
}

/// docs/schemes.rst: scale / 2 * (1 + 2^-15) for absmax, (1 + 2^-14) for tokens, plus 2^-127 where the floor is used.
TEST(RoundTrip, IntegersStayWithinTheBound) {
  Random random(32);
  for (std::int64_t round = 0; round < scaled(20); ++round) {
    for (const Scheme& rule : Scheme::all()) {
      if (rule.max_code() == 1 && rule.rule() != "int2-absmax") continue;
      const double slack = rule == Scheme::activations() ? 0x1p-14 : 0x1p-15;
      for (const auto& [kind, title] : all_values) {
        const Tensor w = make_tensor(DType::f32, shape, random_values(random, kind, size, limits_of(DType::f32, rule)));
        for (const Granularity& granularity : granularities()) {
          const QuantizedTensor q = quantize(w.view(), rule.with(granularity));
          const std::vector<float> v = floats_of(dequantize(q));
          const std::vector<double> scales = scales_by_element(q);
          for (std::size_t i = 0; i < v.size(); ++i) {
            const double error = std::fabs(static_cast<double>(w.data<float>()[i]) - static_cast<double>(v[i]));
            ASSERT_LE(error, scales[i] / 2 * (1 + slack))
                << std::hexfloat << w.data<float>()[i] << " became " << v[i] << " by " << q.scheme().to_string() << " "
                << title << ", " << random.describe();
          }
        }
      }
    }
  }
}

/// docs/schemes.rst: g / 2 up to 1.5 g, |w| - g above. The code comes from w * (1 / g), two roundings of at most 2^-24
/// each, so a w that far past a border may fall on its other side: (1 + 2^-22) covers both with room.
TEST(RoundTrip, TernaryStaysWithinTheBound) {
  Random random(33);
  for (const auto& [kind, title] : all_values) {
    const Scheme scheme = Scheme::parse("ternary:row");
    // Above 2^126 the reciprocal 1 / g is subnormal and its error larger.
    const ValueLimits limits{.levels = 1, .largest = 0x1p126F};
    const Tensor w = make_tensor(DType::f32, shape, random_values(random, kind, size, limits));
    const QuantizedTensor q = quantize(w.view(), scheme);
    const std::vector<float> v = floats_of(dequantize(q));
    const std::vector<double> scales = scales_by_element(q);
    for (std::size_t i = 0; i < v.size(); ++i) {
      const auto magnitude = std::fabs(static_cast<double>(w.data<float>()[i]));
      const double error = std::fabs(static_cast<double>(w.data<float>()[i]) - static_cast<double>(v[i]));
      ASSERT_LE(error, std::max(scales[i] / 2, magnitude - scales[i]) * (1 + 0x1p-22)) << title;
    }
  }
}

/// Powers of two away from floors and overflow change no rounding.
TEST(RoundTrip, ScalesFollowPowersOfTwo) {
  Random random(34);
  for (const Scheme& rule : Scheme::all()) {
    for (const Granularity& granularity : granularities()) {
      const Scheme scheme = rule.with(granularity);
      std::vector<float> values = random_values(random, Values::uniform, size, limits_of(DType::f32, rule));
      for (float& value : values) value = std::copysign(std::fabs(value) + 0.01F, value);  // no floor is near
      const Tensor w = make_tensor(DType::f32, shape, values);
      const QuantizedTensor q = quantize(w.view(), scheme);
      for (const int exponent : {-9, -1, 1, 7, 100}) {
        std::vector<float> scaled_values = values;
        for (float& value : scaled_values) value = std::ldexp(value, exponent);
        const QuantizedTensor other = quantize_floats(scaled_values, scheme);
        ASSERT_TRUE(std::ranges::equal(q.codes(), other.codes())) << scheme.to_string() << " by 2^" << exponent;
        for (std::size_t g = 0; g < q.scales().size(); ++g) {
          ASSERT_EQ(other.scales()[g], std::ldexp(q.scales()[g], exponent)) << scheme.to_string();
        }
      }
    }
  }
}

TEST(RoundTrip, SignsMirrorCodes) {
  Random random(35);
  for (const Scheme& rule : Scheme::all()) {
    if (!rule.has_zero()) continue;
    std::vector<float> values = random_values(random, Values::heavy_tailed, size, limits_of(DType::f32, rule));
    const QuantizedTensor q = quantize_floats(values, rule);
    for (float& value : values) value = -value;
    const QuantizedTensor mirrored = quantize_floats(values, rule);
    for (std::size_t i = 0; i < values.size(); ++i) ASSERT_EQ(q.codes()[i], -mirrored.codes()[i]) << rule.to_string();
    EXPECT_TRUE(std::ranges::equal(q.scales(), mirrored.scales()));
  }
}

/// With a scale a row or group, other rows do not matter.
TEST(RoundTrip, RowsAreIndependent) {
  Random random(36);
  for (const Scheme& rule : Scheme::all()) {
    for (const Granularity& granularity : {Granularity::row(), Granularity::group(7), Granularity::group(64)}) {
      const Scheme scheme = rule.with(granularity);
      std::vector<float> values = random_values(random, Values::gaussian, size, limits_of(DType::f32, rule));
      const QuantizedTensor before = quantize_floats(values, scheme);
      for (std::size_t i = 2 * size[1]; i < 3 * size[1]; ++i) values[i] *= -1000;
      const QuantizedTensor after = quantize_floats(values, scheme);
      const std::vector<double> scales_before = scales_by_element(before);
      const std::vector<double> scales_after = scales_by_element(after);
      for (std::size_t i = 0; i < values.size(); ++i) {
        if (i / size[1] == 2) continue;
        ASSERT_EQ(before.codes()[i], after.codes()[i]) << scheme.to_string();
        ASSERT_EQ(scales_before[i], scales_after[i]) << scheme.to_string();
      }
    }
  }
}

TEST(RoundTrip, DequantizeEqualsTheOracle) {
  Random random(37);
  for (const Scheme& rule : Scheme::all()) {
    for (const DType from : float_dtypes) {
      for (const auto& [kind, title] : all_values) {
        const Tensor w = make_tensor(from, shape, random_values(random, kind, size, limits_of(from, rule)));
        for (const Granularity& granularity : granularities()) {
          const QuantizedTensor q = quantize(w.view(), rule.with(granularity));
          for (const DType to : float_dtypes) {
            const oracle::Dequantized want =
                oracle::dequantize(as_oracle(q), oracle_granules(shape, granularity), std::string(name(to)));
            Tensor got(to, shape);
            ASSERT_EQ(dequantize_into(q, got.mutable_view()), want.held) << q.scheme().to_string() << " " << title;
            ASSERT_TRUE(same_bytes(got.bytes(), make_tensor(to, shape, want.values).bytes()))
                << q.scheme().to_string() << " " << title << " " << name(from) << " to " << name(to);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace bnq::test
