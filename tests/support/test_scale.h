#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

namespace bnq::test {

/// Multiplier of random test cases: 1, or the environment variable BNQ_TEST_SCALE. Slow builds (sanitizers, emulated
/// CPUs) lower it, a night run raises it. Exhaustive tests do not look at it.
inline double test_scale() {
  const char* text = std::getenv("BNQ_TEST_SCALE");
  return text == nullptr ? 1 : std::stod(text);
}

/// `count` random cases at scale 1; at least one.
inline std::int64_t scaled(std::int64_t count) {
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(static_cast<double>(count) * test_scale()));
}

}  // namespace bnq::test
