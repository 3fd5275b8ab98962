#include <bnq/report.h>

#include "core/elements.h"
#include "core/fail.h"
#include "core/float_state.h"
#include "core/parallel.h"
#include "quantize/granules.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

namespace bnq {
namespace {

constexpr std::int64_t block_elems = 4096;
constexpr std::int64_t blocks_a_thread = 16;

/// Sums over one block. Blocks are added in order, so the report does not depend on the number of threads.
struct Sums {
  double signal = 0;
  double noise = 0;
  double dot = 0;
  double quantized = 0;  ///< sum of v²
  double max_abs_error = 0;
  std::int64_t zeros = 0;
  std::int64_t saturated = 0;
  std::int64_t different = 0;
  std::int64_t first_nonfinite = -1;

  void add(const Sums& other) {
    signal += other.signal;
    noise += other.noise;
    dot += other.dot;
    quantized += other.quantized;
    max_abs_error = std::max(max_abs_error, other.max_abs_error);
    zeros += other.zeros;
    saturated += other.saturated;
    different += other.different;
    if (first_nonfinite < 0) first_nonfinite = other.first_nonfinite;
  }
};

/// Past this, |w| is clamped: half a scale beyond the outermost level.
double saturation_limit(const Scheme& scheme, float scale) {
  return (scheme.max_code() + 0.5) * static_cast<double>(scale);
}

void add_element(Sums& sums, float w, std::int8_t code, float scale, double limit) {
  constexpr float largest = std::numeric_limits<float>::max();
  const float v = std::clamp(static_cast<float>(code) * scale, -largest, largest);  // as dequantize gives it in f32
  const auto original = static_cast<double>(w);
  const auto value = static_cast<double>(v);
  const double error = original - value;
  sums.signal += original * original;
  sums.noise += error * error;
  sums.dot += original * value;
  sums.quantized += value * value;
  sums.max_abs_error = std::max(sums.max_abs_error, std::fabs(error));
  sums.zeros += code == 0 ? 1 : 0;
  sums.saturated += std::fabs(original) > limit ? 1 : 0;
  sums.different += w == v ? 0 : 1;
}

Sums of_block(const TensorView& original, const QuantizedTensor& q, const detail::Granules& granules,
              std::int64_t begin, std::int64_t end) {
  std::array<float, block_elems> buffer;
  const std::span<float> block(buffer.data(), static_cast<std::size_t>(end - begin));
  detail::read_elements(original, begin, block);
  Sums sums;
  for (std::int64_t at = begin; at < end;) {
    const std::int64_t granule = granules.of(at);
    const std::int64_t stop = std::min(end, granules.begin(granule) + granules.size(granule));
    const float scale = q.scales()[static_cast<std::size_t>(granule)];
    const double limit = saturation_limit(q.scheme(), scale);
    for (; at < stop; ++at) {
      const float w = block[static_cast<std::size_t>(at - begin)];
      if (!std::isfinite(w) && sums.first_nonfinite < 0) sums.first_nonfinite = at;
      add_element(sums, w, q.codes()[static_cast<std::size_t>(at)], scale, limit);
    }
  }
  return sums;
}

Sums gather(const TensorView& original, const QuantizedTensor& q) {
  const detail::Granules granules(q.shape(), q.scheme().granularity());
  const std::int64_t blocks = detail::ceil_div(q.elements(), block_elems);
  std::vector<Sums> of_blocks(static_cast<std::size_t>(blocks));
  detail::parallel_for(blocks, blocks_a_thread, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t b = first; b < last; ++b) {
      const std::int64_t begin = b * block_elems;
      of_blocks[static_cast<std::size_t>(b)] =
          of_block(original, q, granules, begin, std::min(begin + block_elems, q.elements()));
    }
  });
  Sums total;
  for (const Sums& block : of_blocks) total.add(block);
  return total;
}

double cosine(const Sums& sums) {
  if (sums.different == 0) return 1;
  if (sums.signal == 0 || sums.quantized == 0) return 0;
  return sums.dot / (std::sqrt(sums.signal) * std::sqrt(sums.quantized));
}

double share(std::int64_t part, std::int64_t elements) {
  return elements == 0 ? 0 : static_cast<double>(part) / static_cast<double>(elements);
}

void require_finite(const TensorView& original, const Sums& sums) {
  if (sums.first_nonfinite < 0) return;
  detail::fail(ErrorKind::bad_content,
               {.where = "report",
                .what = "the original is not finite",
                .got = "NaN or infinity at " + detail::index_text(original.shape(), sums.first_nonfinite)});
}

}  // namespace

Report report(const TensorView& original, const QuantizedTensor& q) {
  detail::require_quantizable("report", original.dtype());
  if (original.shape() != q.shape()) {
    detail::fail(ErrorKind::invalid_argument, {.where = "report",
                                               .what = "the original has another shape",
                                               .got = to_string(original.shape()),
                                               .need = to_string(q.shape())});
  }
  const detail::FloatState float_state;
  const Sums sums = gather(original, q);
  require_finite(original, sums);
  Report r;
  r.elements = q.elements();
  r.signal = sums.signal;
  r.noise = sums.noise;
  r.lossless = sums.different == 0;
  r.sqnr_db = r.lossless ? std::numeric_limits<double>::infinity() : 10 * std::log10(sums.signal / sums.noise);
  r.cosine = cosine(sums);
  r.max_abs_error = sums.max_abs_error;
  r.zero_share = share(sums.zeros, r.elements);
  r.saturated_share = share(sums.saturated, r.elements);
  r.bits_per_weight = q.bits_per_weight();
  r.floored_granules = q.counts().floored_granules;
  r.prequantized_granules = q.counts().prequantized_granules;
  r.granules = static_cast<std::int64_t>(q.scales().size());
  return r;
}

}  // namespace bnq
