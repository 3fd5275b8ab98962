#include "bench/layer_bench.h"

#include <bnq/quantize.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>

namespace bnq::cli {
namespace {

constexpr double ring_bytes = 280e6;     // past the last-level cache of any one socket here and of most elsewhere
constexpr double sample_seconds = 0.02;  // long enough for the clock, short enough to repeat
constexpr double most_seconds = 0.25;    // of one call
constexpr int samples = 7;

/// Values without a pattern in the bits that a kernel reads; which ones does not matter for its speed.
std::vector<float> values(std::int64_t count) {
  std::vector<float> made(static_cast<std::size_t>(count));
  std::uint32_t state = 1;
  for (float& value : made) {
    state = state * 1664525U + 1013904223U;
    value = static_cast<float>(state >> 8U) / static_cast<float>(1 << 24) - 0.5F;
  }
  return made;
}

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

LayerRing::LayerRing(const LayerShape& shape, const std::string& scheme) : shape_(shape) {
  const std::vector<float> weight = values(shape.outputs * shape.depth);
  const QuantizedTensor quantized =
      quantize({weight.data(), DType::f32, {shape.outputs, shape.depth}}, Scheme::parse(scheme));
  layers_.emplace_back(quantized);
  weight_bytes_ = static_cast<double>(layers_.front().nbytes());
  const double count = std::clamp(std::ceil(ring_bytes / weight_bytes_), 1.0, 4096.0);
  while (static_cast<double>(layers_.size()) < count) layers_.emplace_back(quantized);
}

std::optional<double> LayerRing::seconds(std::int64_t tokens) {
  x_ = values(tokens * shape_.depth);
  y_.resize(static_cast<std::size_t>(tokens * shape_.outputs));
  scratch_.resize(layers_.front().scratch_bytes(tokens));
  const double one = sample(tokens, 1);
  if (one > most_seconds) return std::nullopt;
  (void)sample(tokens, 2);  // the first call met cold memory
  const auto calls = static_cast<std::int64_t>(std::max(1.0, sample_seconds / sample(tokens, 1)));
  std::array<double, samples> taken{};
  for (double& seconds : taken) seconds = sample(tokens, calls);
  std::ranges::nth_element(taken, taken.begin() + samples / 2);
  return taken[samples / 2];
}

void LayerRing::call(const Linear& layer, std::int64_t tokens) {
  layer.forward({x_.data(), DType::f32, {tokens, shape_.depth}}, {y_.data(), DType::f32, {tokens, shape_.outputs}},
                scratch_);
}

double LayerRing::sample(std::int64_t tokens, std::int64_t calls) {
  const double begin = now();
  for (std::int64_t i = 0; i < calls; ++i) {
    if (tokens == 1) next_ = (next_ + 1) % layers_.size();
    call(layers_[next_], tokens);
  }
  return (now() - begin) / static_cast<double>(calls);
}

}  // namespace bnq::cli
