#include "quantize/statistics.h"

#include "core/checked.h"
#include "core/elements.h"
#include "core/parallel.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <vector>

namespace bnq::detail {
namespace {

constexpr std::int64_t block_elems = 4096;
constexpr std::int64_t blocks_a_thread = 16;  // below this a second thread costs more than it saves
constexpr std::size_t lanes = 16;

using Lanes = std::array<double, lanes>;

/// Lane i adds lane i + 8, then i + 4, i + 2, i + 1.
double fold(Lanes sums) {
  for (std::size_t half = lanes / 2; half > 0; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
  }
  return sums[0];
}

std::int64_t first_nonfinite(std::span<const float> block) {
  const auto at = std::find_if(block.begin(), block.end(), [](float w) { return !std::isfinite(w); });
  return at == block.end() ? -1 : at - block.begin();
}

Statistics of_block(std::span<const float> block) {
  Statistics s;
  s.count = static_cast<std::int64_t>(block.size());
  s.first_nonfinite = first_nonfinite(block);
  if (s.first_nonfinite >= 0) return s;
  Lanes sums{};
  Lanes abs_sums{};
  for (std::size_t i = 0; i < block.size(); ++i) {
    const float magnitude = std::fabs(block[i]);
    sums[i % lanes] += static_cast<double>(block[i]);
    abs_sums[i % lanes] += static_cast<double>(magnitude);
    s.absmax = std::max(s.absmax, magnitude);
    if (magnitude > 0) s.absmin_nonzero = std::min(s.absmin_nonzero, magnitude);
  }
  s.sum = fold(sums);
  s.abs_sum = fold(abs_sums);
  return s;
}

void add_block(Statistics& total, const Statistics& block) {
  total.absmax = std::max(total.absmax, block.absmax);
  total.absmin_nonzero = std::min(total.absmin_nonzero, block.absmin_nonzero);
  total.sum += block.sum;
  total.abs_sum += block.abs_sum;
  if (total.first_nonfinite < 0 && block.first_nonfinite >= 0) {
    total.first_nonfinite = total.count + block.first_nonfinite;
  }
  total.count += block.count;
}

Statistics read_block(const TensorView& view, std::int64_t begin, std::int64_t count) {
  std::array<float, block_elems> buffer;
  const std::span<float> block(buffer.data(), static_cast<std::size_t>(count));
  read_elements(view, begin, block);
  return of_block(block);
}

}  // namespace

Statistics gather_statistics(const TensorView& view, std::int64_t begin, std::int64_t count) {
  Statistics total;
  const std::int64_t blocks = ceil_div(count, block_elems);
  if (blocks == 1) {  // most granules: no list of blocks to allocate
    add_block(total, read_block(view, begin, count));
  } else {
    std::vector<Statistics> of_blocks(static_cast<std::size_t>(blocks));
    parallel_for(blocks, blocks_a_thread, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t b = first; b < last; ++b) {
        const std::int64_t at = b * block_elems;
        of_blocks[static_cast<std::size_t>(b)] = read_block(view, begin + at, std::min(block_elems, count - at));
      }
    });
    for (const Statistics& block : of_blocks) add_block(total, block);
  }
  if (total.first_nonfinite >= 0) total.first_nonfinite += begin;
  return total;
}

}  // namespace bnq::detail
