// Every instruction set's element-wise kernels against the scalar ones, bit for bit: all lengths around a register, all
// places of a NaN, every 16-bit float; on buffers flush against a page that may not be touched.

#include "core/elements.h"
#include "kernels/registry.h"

#include "support/distributions.h"
#include "support/guarded_buffer.h"
#include "support/tensors.h"

#include <bnq/cpu.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

namespace bnq::test {
namespace {

using detail::CodeRule;
using detail::RowOperations;
using Guard = GuardedBuffer::Guard;

/// Operations of one instruction set on one dtype, and what they have to equal.
struct Pair {
  Isa isa;
  DType dtype;
  const RowOperations& fast;
  const RowOperations& slow;

  [[nodiscard]] std::string name() const { return std::string(bnq::name(isa)) + " " + std::string(bnq::name(dtype)); }
};

std::vector<Pair> pairs() {
  std::vector<Pair> all;
  for (const Isa isa : available_isas()) {
    if (isa == Isa::scalar) continue;
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
      all.push_back({isa, dtype, detail::row_kernels(isa).of(dtype), detail::row_kernels(Isa::scalar).of(dtype)});
    }
  }
  return all;
}

/// Values as elements of `dtype`, flush against a page on one side.
class Elements {
 public:
  Elements(DType dtype, const std::vector<float>& values, Guard guard = Guard::behind)
      : buffer_(values.size() * size_bytes(dtype), guard) {
    detail::write_elements(values, dtype, buffer_.data());
  }

  [[nodiscard]] const void* data() { return buffer_.data(); }

 private:
  GuardedBuffer buffer_;
};

/// Calls `body(pair, values, count)` with random values of every kind and length, guarded on either side.
template <typename Body>
void for_each_row(const Body& body) {
  Random random(41);
  for (const auto& [kind, kind_name] : all_values) {
    for (std::size_t count = 0; count <= 140; ++count) {
      const auto values = random_values(random, kind, {1, count}, {.levels = 127, .largest = 3e38F});
      for (const Pair& pair : pairs()) {
        for (const Guard guard : {Guard::before, Guard::behind}) {
          Elements elements(pair.dtype, values, guard);
          SCOPED_TRACE(pair.name() + ", " + std::string(kind_name) + ", " + std::to_string(count) + " values");
          body(pair, elements.data(), static_cast<std::int64_t>(count));
        }
      }
    }
  }
}

std::uint64_t bits(double value) { return std::bit_cast<std::uint64_t>(value); }
std::uint32_t bits(float value) { return std::bit_cast<std::uint32_t>(value); }

void expect_same(const detail::Magnitudes& got, const detail::Magnitudes& want) {
  EXPECT_EQ(bits(got.absmax), bits(want.absmax));
  EXPECT_EQ(bits(got.absmin_nonzero), bits(want.absmin_nonzero));
  EXPECT_EQ(bits(got.sum), bits(want.sum));
}

TEST(Rows, AbsmaxMagnitudesAndSum) {
  for_each_row([&](const Pair& pair, const void* values, std::int64_t count) {
    EXPECT_EQ(bits(pair.fast.absmax(values, count)), bits(pair.slow.absmax(values, count)));
    if (!std::isfinite(pair.slow.absmax(values, count))) return;
    EXPECT_EQ(bits(pair.fast.sum(values, count)), bits(pair.slow.sum(values, count)));
    expect_same(pair.fast.magnitudes(values, count), pair.slow.magnitudes(values, count));
  });
}

/// Exponents so far apart that float64 rounds nearly every addition: another order of the sums shows. Also the smallest
/// subnormal numbers.
TEST(Rows, SumsHaveOneOrder) {
  Random random(42);
  for (const int least : {-149, -60}) {
    for (std::size_t size = 1; size <= 200; ++size) {
      std::vector<float> values(size);
      for (float& value : values) {
        value =
            static_cast<float>(std::ldexp(random.uniform(-1, 1), static_cast<int>(random.integer(least, least + 120))));
      }
      for (const Pair& pair : pairs()) {
        if (pair.dtype == DType::f16) continue;  // would be infinite
        SCOPED_TRACE(pair.name() + " " + std::to_string(size));
        Elements elements(pair.dtype, values);
        const auto count = static_cast<std::int64_t>(size);
        EXPECT_EQ(bits(pair.fast.sum(elements.data(), count)), bits(pair.slow.sum(elements.data(), count)));
        expect_same(pair.fast.magnitudes(elements.data(), count), pair.slow.magnitudes(elements.data(), count));
      }
    }
  }
}

TEST(Rows, AbsmaxSeesNanAndInfinityAnywhere) {
  for (const Pair& pair : pairs()) {
    for (std::size_t size = 1; size <= 140; ++size) {
      for (std::size_t at = 0; at < size; ++at) {
        for (const float bad : {std::nanf(""), -std::nanf("1"), std::numeric_limits<float>::infinity(),
                                -std::numeric_limits<float>::infinity()}) {
          std::vector<float> values(size, 1.0F);
          values[at] = bad;
          std::vector<std::byte> elements(size * size_bytes(pair.dtype));
          detail::write_elements(values, pair.dtype, elements.data());
          const auto count = static_cast<std::int64_t>(size);
          ASSERT_FALSE(std::isfinite(pair.fast.absmax(elements.data(), count))) << pair.name() << " " << at;
          ASSERT_FALSE(std::isfinite(pair.fast.magnitudes(elements.data(), count).absmax)) << pair.name() << " " << at;
        }
      }
    }
  }
}

using Encode = void (*)(const void*, std::int64_t, const CodeRule&, std::int8_t*) noexcept;

void expect_same_codes(Encode fast, Encode slow, const CodeRule& rule, const void* values, std::int64_t count) {
  const auto size = static_cast<std::size_t>(count);
  GuardedBuffer got(size);
  std::vector<std::int8_t> want(size);
  fast(values, count, rule, reinterpret_cast<std::int8_t*>(got.data()));
  slow(values, count, rule, want.data());
  EXPECT_EQ(size == 0 ? 0 : std::memcmp(got.data(), want.data(), size), 0) << "factor " << rule.factor;
}

TEST(Rows, Products) {
  for_each_row([&](const Pair& pair, const void* values, std::int64_t count) {
    for (const float factor : {1.0F, 0.02F, 3.7F, 0x1p-126F, 1e30F}) {
      for (const int high : {1, 7, 127}) {
        expect_same_codes(pair.fast.multiply, pair.slow.multiply, {factor, -high - 1, high}, values, count);
      }
    }
  });
}

/// The factor of the absmax rule, and larger ones.
TEST(Rows, Quotients) {
  for_each_row([&](const Pair& pair, const void* values, std::int64_t count) {
    const float absmax = pair.slow.absmax(values, count);
    if (!std::isfinite(absmax)) return;
    for (const int high : {1, 7, 127}) {
      const float factor = std::max(absmax / static_cast<float>(high), 0x1p-126F);
      expect_same_codes(pair.fast.divide, pair.slow.divide, {factor, -high, high}, values, count);
      expect_same_codes(pair.fast.divide, pair.slow.divide, {factor * 1.3F, -high, high}, values, count);
    }
  });
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
    for (const Pair& pair : pairs()) {
      if (pair.dtype != DType::f32) continue;
      const auto count = static_cast<std::int64_t>(values.size());
      expect_same_codes(pair.fast.divide, pair.slow.divide, {factor, -127, 127}, values.data(), count);
    }
  }
  EXPECT_GT(differ, 1000);
}

TEST(Rows, EverySixteenBitFloatWidens) {
  std::vector<std::uint16_t> halves(65'536);
  for (std::size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<std::uint16_t>(i);
  for (const Pair& pair : pairs()) {
    if (pair.dtype == DType::f32) continue;
    std::vector<float> got(halves.size());
    std::vector<float> want(halves.size());
    pair.fast.widen(halves.data(), 65'536, got.data());
    pair.slow.widen(halves.data(), 65'536, want.data());
    for (std::size_t i = 0; i < halves.size(); ++i) {
      ASSERT_TRUE(bits(got[i]) == bits(want[i]) || (std::isnan(got[i]) && std::isnan(want[i])))
          << pair.name() << " " << i;
    }
  }
}

TEST(Rows, WidenTails) {
  for (const Pair& pair : pairs()) {
    for (std::size_t count = 0; count <= 40; ++count) {
      Elements elements(pair.dtype, std::vector<float>(count, 1.5F));
      GuardedBuffer out(count * sizeof(float));
      auto* const floats = reinterpret_cast<float*>(out.data());
      pair.fast.widen(elements.data(), static_cast<std::int64_t>(count), floats);
      for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(floats[i], 1.5F) << pair.name();
    }
  }
}

TEST(Rows, SumsOfCodesAreTakenBeforeTheFlip) {
  Random random(43);
  for (const Isa isa : available_isas()) {
    for (std::size_t count = 0; count <= 200; ++count) {
      for (const Guard guard : {Guard::before, Guard::behind}) {
        for (const std::uint8_t flip : {std::uint8_t{0x00}, std::uint8_t{0x80}, std::uint8_t{0x5A}}) {
          GuardedBuffer buffer(count, guard);
          auto* const codes = reinterpret_cast<std::int8_t*>(buffer.data());
          std::vector<std::int8_t> before(count);
          for (auto& code : before) code = static_cast<std::int8_t>(random.integer(-128, 127));
          if (count % 7 == 0) std::ranges::fill(before, std::int8_t{-128});
          std::ranges::copy(before, codes);
          const std::int32_t want = std::accumulate(before.begin(), before.end(), std::int32_t{0});
          const auto size = static_cast<std::int64_t>(count);
          EXPECT_EQ(detail::row_kernels(isa).sum_and_flip(codes, size, flip), want) << name(isa) << " " << count;
          for (std::size_t i = 0; i < count; ++i) {
            ASSERT_EQ(static_cast<std::uint8_t>(codes[i]), static_cast<std::uint8_t>(before[i]) ^ flip)
                << name(isa) << " " << count << " " << i;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace bnq::test
