#include "quantize/statistics.h"

#include "core/checked.h"
#include "core/parallel.h"
#include "kernels/read_block.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace bnq::detail {
namespace {

constexpr std::int64_t sum_block_elems = 4096;
constexpr std::int64_t blocks_a_thread = 16;  // below this a second thread costs more than it saves

/// Index of the first NaN or infinity of a block that has one.
std::int64_t first_nonfinite(const Block& block) {
  std::array<float, sum_block_elems> values;
  block.widen(values.data());
  return std::ranges::find_if(values, [](float w) { return !std::isfinite(w); }) - values.begin();
}

Statistics of_block(Needs needs, const Block& block) {
  Statistics s;
  s.count = block.count;
  if (needs == Needs::absmax) {
    s.absmax = block.absmax();
  } else {
    const Magnitudes magnitudes = block.magnitudes();
    s.absmax = magnitudes.absmax;
    s.absmin_nonzero = magnitudes.absmin_nonzero;
    s.abs_sum = magnitudes.sum;
  }
  if (!std::isfinite(s.absmax)) {
    s.first_nonfinite = first_nonfinite(block);
  } else if (needs == Needs::magnitudes_and_sum) {
    s.sum = block.sum();
  }
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

Statistics see_block(const GranuleSource& source, std::int64_t begin, std::int64_t count) {
  std::array<float, sum_block_elems> buffer;
  const Block block = read_block(source.kernels, source.view, begin, count, buffer.data());
  if (source.needs != Needs::absmax) prefetch(source.view, begin + count, count);  // memory would rest during sums
  return of_block(source.needs, block);
}

}  // namespace

Statistics gather_statistics(const GranuleSource& source, std::int64_t begin, std::int64_t count) {
  Statistics total;
  const std::int64_t blocks = ceil_div(count, sum_block_elems);
  if (blocks < blocks_a_thread) {  // most granules: no list of blocks to allocate
    for (std::int64_t at = 0; at < count; at += sum_block_elems) {
      add_block(total, see_block(source, begin + at, std::min(sum_block_elems, count - at)));
    }
  } else {
    std::vector<Statistics> of_blocks(static_cast<std::size_t>(blocks));
    parallel_for(blocks, blocks_a_thread, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t b = first; b < last; ++b) {
        const std::int64_t at = b * sum_block_elems;
        of_blocks[static_cast<std::size_t>(b)] = see_block(source, begin + at, std::min(sum_block_elems, count - at));
      }
    });
    for (const Statistics& block : of_blocks) add_block(total, block);
  }
  if (total.first_nonfinite >= 0) total.first_nonfinite += begin;
  return total;
}

}  // namespace bnq::detail
