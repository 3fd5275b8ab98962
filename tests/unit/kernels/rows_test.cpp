// Every instruction set's element-wise kernels against the scalar ones, bit for bit: all lengths around a register, all
// places of a NaN, every 16-bit float; on buffers flush against a page that may not be touched.

#include "kernels/registry.h"

#include "support/distributions.h"
#include "support/guarded_buffer.h"
#include "support/tensors.h"

#include <bnq/cpu.h>

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace bnq::test {
namespace {

using detail::CodeRule;
using detail::RowKernels;
using Guard = GuardedBuffer::Guard;

const RowKernels& scalar() { return detail::row_kernels(Isa::scalar); }

std::vector<const RowKernels*> fast_rows() {
  std::vector<const RowKernels*> rows;
  for (const Isa isa : available_isas()) {
    if (isa != Isa::scalar) rows.push_back(&detail::row_kernels(isa));
  }
  return rows;
}

/// Calls `body(values, count)` with random values of every kind and length, guarded on either side.
template <typename Body>
void for_each_row(const Body& body) {
  Random random(41);
  for (const auto& [kind, kind_name] : all_values) {
    for (std::size_t count = 0; count <= 70; ++count) {
      const auto values = random_values(random, kind, {1, count}, {.levels = 127, .largest = 3e38F});
      for (const Guard guard : {Guard::before, Guard::behind}) {
        GuardedBuffer buffer(count * sizeof(float), guard);
        buffer.assign(std::as_bytes(std::span(values)));
        SCOPED_TRACE(std::string(kind_name) + ", " + std::to_string(count) + " values");
        body(reinterpret_cast<const float*>(buffer.data()), static_cast<std::int64_t>(count));
      }
    }
  }
}

std::uint64_t bits(double value) { return std::bit_cast<std::uint64_t>(value); }
std::uint32_t bits(float value) { return std::bit_cast<std::uint32_t>(value); }

TEST(Rows, AbsmaxMagnitudesAndSum) {
  for (const RowKernels* rows : fast_rows()) {
    for_each_row([&](const float* values, std::int64_t count) {
      EXPECT_EQ(bits(rows->absmax(values, count)), bits(scalar().absmax(values, count))) << name(rows->isa);
      EXPECT_EQ(bits(rows->sum(values, count)), bits(scalar().sum(values, count))) << name(rows->isa);
      const detail::Magnitudes got = rows->magnitudes(values, count);
      const detail::Magnitudes want = scalar().magnitudes(values, count);
      EXPECT_EQ(bits(got.absmax), bits(want.absmax)) << name(rows->isa);
      EXPECT_EQ(bits(got.absmin_nonzero), bits(want.absmin_nonzero)) << name(rows->isa);
      EXPECT_EQ(bits(got.sum), bits(want.sum)) << name(rows->isa);
    });
  }
}

/// Exponents so far apart that float64 rounds nearly every addition: another order of the sums shows.
TEST(Rows, SumsHaveOneOrder) {
  Random random(42);
  for (const RowKernels* rows : fast_rows()) {
    for (std::size_t count = 1; count <= 200; ++count) {
      std::vector<float> values(count);
      for (float& value : values) {
        value = static_cast<float>(std::ldexp(random.uniform(-1, 1), static_cast<int>(random.integer(-60, 60))));
      }
      const auto size = static_cast<std::int64_t>(count);
      EXPECT_EQ(bits(rows->sum(values.data(), size)), bits(scalar().sum(values.data(), size))) << name(rows->isa);
      EXPECT_EQ(bits(rows->magnitudes(values.data(), size).sum), bits(scalar().magnitudes(values.data(), size).sum))
          << name(rows->isa) << " " << count;
    }
  }
}

TEST(Rows, AbsmaxSeesNanAndInfinityAnywhere) {
  for (const RowKernels* rows : fast_rows()) {
    for (std::size_t count = 1; count <= 140; ++count) {
      for (std::size_t at = 0; at < count; ++at) {
        for (const float bad : {std::nanf(""), -std::nanf("1"), std::numeric_limits<float>::infinity(),
                                -std::numeric_limits<float>::infinity()}) {
          std::vector<float> values(count, 1.0F);
          values[at] = bad;
          const auto size = static_cast<std::int64_t>(count);
          ASSERT_FALSE(std::isfinite(rows->absmax(values.data(), size)))
              << name(rows->isa) << " " << at << " of " << count;
          ASSERT_FALSE(std::isfinite(rows->magnitudes(values.data(), size).absmax)) << name(rows->isa) << " " << at;
        }
      }
    }
  }
}

using Encode = void (*)(const float*, std::int64_t, const CodeRule&, std::int8_t*) noexcept;

void expect_same_codes(Encode fast, Encode slow, const CodeRule& rule, std::span<const float> values) {
  GuardedBuffer got(values.size());
  std::vector<std::int8_t> want(values.size());
  fast(values.data(), static_cast<std::int64_t>(values.size()), rule, reinterpret_cast<std::int8_t*>(got.data()));
  slow(values.data(), static_cast<std::int64_t>(values.size()), rule, want.data());
  EXPECT_EQ(values.empty() ? 0 : std::memcmp(got.data(), want.data(), want.size()), 0) << "factor " << rule.factor;
}

TEST(Rows, Codes) {
  for (const RowKernels* rows : fast_rows()) {
    for_each_row([&](const float* values, std::int64_t count) {
      const std::span<const float> row(values, static_cast<std::size_t>(count));
      for (const float factor : {1.0F, 0.02F, 3.7F, 0x1p-126F, 1e30F, 0x1.8p+126F}) {
        for (const int high : {1, 7, 127}) {
          expect_same_codes(rows->divide, scalar().divide, {factor, -high, high}, row);
          expect_same_codes(rows->multiply, scalar().multiply, {factor, -high - 1, high}, row);
        }
      }
    });
  }
}

/// Where a quotient is halfway between two codes, and a few floats to either side: a product by the reciprocal would
/// give other codes there.
TEST(Rows, DivisionIsATrueOne) {
  Random random(43);
  std::int64_t differ = 0;  // products that would be wrong: the test looks where it has to
  for (int round = 0; round < 2000; ++round) {
    const auto factor =
        static_cast<float>(std::ldexp(random.uniform(1, 2), static_cast<int>(random.integer(-126, 120))));
    std::vector<float> values;
    for (int code = -127; code < 127; ++code) {
      auto value = static_cast<float>((code + 0.5) * static_cast<double>(factor));
      for (std::int64_t step = random.integer(0, 2); step > 0; --step) value = std::nextafterf(value, 0.0F);
      values.push_back(value);
      const float product = value * (1.0F / factor);
      differ += std::nearbyintf(product) == std::nearbyintf(value / factor) ? 0 : 1;
    }
    for (const RowKernels* rows : fast_rows()) {
      expect_same_codes(rows->divide, scalar().divide, {factor, -127, 127}, values);
    }
  }
  EXPECT_GT(differ, 1000);
}

TEST(Rows, EverySixteenBitFloat) {
  std::vector<std::uint16_t> halves(65'536);
  for (std::size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<std::uint16_t>(i);
  for (const RowKernels* rows : fast_rows()) {
    for (const bool bf16 : {false, true}) {
      std::vector<float> got(halves.size());
      std::vector<float> want(halves.size());
      (bf16 ? rows->widen_bf16 : rows->widen_f16)(halves.data(), 65'536, got.data());
      (bf16 ? scalar().widen_bf16 : scalar().widen_f16)(halves.data(), 65'536, want.data());
      for (std::size_t i = 0; i < halves.size(); ++i) {
        ASSERT_TRUE(bits(got[i]) == bits(want[i]) || (std::isnan(got[i]) && std::isnan(want[i])))
            << name(rows->isa) << " " << i;
      }
    }
  }
}

TEST(Rows, WidenTails) {
  for (const RowKernels* rows : fast_rows()) {
    for (std::size_t count = 0; count <= 40; ++count) {
      GuardedBuffer halves(2 * count);
      std::memset(halves.data(), 0x3C, 2 * count);
      GuardedBuffer out(4 * count);
      const auto* const in = reinterpret_cast<const std::uint16_t*>(halves.data());
      auto* const floats = reinterpret_cast<float*>(out.data());
      rows->widen_f16(in, static_cast<std::int64_t>(count), floats);
      rows->widen_bf16(in, static_cast<std::int64_t>(count), floats);
      for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(bits(floats[i]), 0x3C3C'0000U);
    }
  }
}

}  // namespace
}  // namespace bnq::test
