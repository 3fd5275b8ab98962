#include "checkpoint/page/histogram.h"

#include <bnq/quantize.h>

#include "core/elements.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace bnq::detail {
namespace {

constexpr std::int64_t block_elems = 4096;

template <typename Body>
void for_each_value(const TensorView& view, const Body& body) {
  std::array<float, block_elems> buffer;
  for (std::int64_t at = 0; at < view.elements(); at += block_elems) {
    const auto count = static_cast<std::size_t>(std::min(block_elems, view.elements() - at));
    read_elements(view, at, std::span(buffer.data(), count));
    for (std::size_t i = 0; i < count; ++i) body(static_cast<double>(buffer[i]));
  }
}

void count_values(const TensorView& view, double limit, std::array<std::int64_t, Histogram::bins>& counts) {
  constexpr auto bins = static_cast<double>(Histogram::bins);
  for_each_value(view, [&](double value) {
    const double place = limit > 0 ? (value / limit + 1) / 2 * bins : bins / 2;
    counts[static_cast<std::size_t>(std::clamp(place, 0.0, bins - 1))] += 1;
  });
}

}  // namespace

Histogram histogram_of(const TensorView& original, const QuantizedTensor& q) {
  const Tensor values = dequantize(q, DType::f32);
  Histogram histogram;
  const auto see = [&](double value) { histogram.limit = std::max(histogram.limit, std::fabs(value)); };
  for_each_value(original, see);
  for_each_value(values.view(), see);
  count_values(original, histogram.limit, histogram.before);
  count_values(values.view(), histogram.limit, histogram.after);
  return histogram;
}

}  // namespace bnq::detail
