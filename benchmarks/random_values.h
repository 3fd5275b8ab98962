#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace bnq::benchmarks {

/// The same values in every run. Which ones does not matter for speed, as long as codes differ.
inline std::vector<float> random_values(std::int64_t count) {
  std::mt19937 engine(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = normal(engine);
  return values;
}

}  // namespace bnq::benchmarks
