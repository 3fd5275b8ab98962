#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <numbers>
#include <random>
#include <string>

namespace bnq::test {

/// Seed of every test: 1, or the environment variable BNQ_TEST_SEED.
inline std::uint64_t run_seed() {
  const char* text = std::getenv("BNQ_TEST_SEED");
  return text == nullptr ? 1 : std::stoull(text);
}

/// Random numbers that are the same on every machine: only the engine comes from the standard library, since its
/// distributions are not portable. Put `describe()` into SCOPED_TRACE, so that a failure can be repeated.
class Random {
 public:
  /// `stream` tells the tests of one run apart.
  explicit Random(std::uint64_t stream) : stream_(stream), engine_(run_seed() * 1'000'003 + stream) {}

  [[nodiscard]] std::string describe() const {
    return "BNQ_TEST_SEED=" + std::to_string(run_seed()) + ", stream " + std::to_string(stream_);
  }

  std::uint64_t bits() { return engine_(); }
  std::uint32_t bits32() { return static_cast<std::uint32_t>(engine_() >> 32U); }

  /// In [low, high], both included.
  std::int64_t integer(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(engine_() % static_cast<std::uint64_t>(high - low + 1));
  }

  bool coin() { return (engine_() >> 63U) != 0; }

  /// In [0, 1).
  double unit() { return static_cast<double>(engine_() >> 11U) * 0x1p-53; }

  double uniform(double low, double high) { return low + (high - low) * unit(); }

  /// Mean 0, variance 1 (Box-Muller).
  double gaussian() {
    const double radius = std::sqrt(-2 * std::log(1 - unit()));
    return radius * std::cos(2 * std::numbers::pi * unit());
  }

 private:
  std::uint64_t stream_;
  std::mt19937_64 engine_;
};

}  // namespace bnq::test
