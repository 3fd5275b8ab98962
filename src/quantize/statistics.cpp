#include "quantize/statistics.h"

#include "core/checked.h"
#include "core/parallel.h"
#include "kernels/read_block.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <vector>

namespace bnq::detail {
namespace {

constexpr std::int64_t block_elems = 4096;
constexpr std::int64_t blocks_a_thread = 16;  // below this a second thread costs more than it saves

/// Index of the first NaN or infinity of a block that has one.
std::int64_t first_nonfinite(std::span<const float> block) {
  const auto at = std::find_if(block.begin(), block.end(), [](float w) { return !std::isfinite(w); });
  return at - block.begin();
}

Statistics of_block(const GranuleSource& source, std::span<const float> block) {
  Statistics s;
  s.count = static_cast<std::int64_t>(block.size());
  if (source.needs == Needs::absmax) {
    s.absmax = source.kernels.absmax(block.data(), s.count);
  } else {
    const Magnitudes magnitudes = source.kernels.magnitudes(block.data(), s.count);
    s.absmax = magnitudes.absmax;
    s.absmin_nonzero = magnitudes.absmin_nonzero;
    s.abs_sum = magnitudes.sum;
  }
  if (!std::isfinite(s.absmax)) {
    s.first_nonfinite = first_nonfinite(block);
  } else if (source.needs == Needs::magnitudes_and_sum) {
    s.sum = source.kernels.sum(block.data(), s.count);
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
  std::array<float, block_elems> buffer;
  const float* const block = read_block(source.kernels, source.view, begin, count, buffer.data());
  if (source.needs != Needs::absmax) prefetch(source.view, begin + count, count);  // memory would rest during sums
  return of_block(source, {block, static_cast<std::size_t>(count)});
}

}  // namespace

Statistics gather_statistics(const GranuleSource& source, std::int64_t begin, std::int64_t count) {
  Statistics total;
  const std::int64_t blocks = ceil_div(count, block_elems);
  if (blocks < blocks_a_thread) {  // most granules: no list of blocks to allocate
    for (std::int64_t at = 0; at < count; at += block_elems) {
      add_block(total, see_block(source, begin + at, std::min(block_elems, count - at)));
    }
  } else {
    std::vector<Statistics> of_blocks(static_cast<std::size_t>(blocks));
    parallel_for(blocks, blocks_a_thread, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t b = first; b < last; ++b) {
        const std::int64_t at = b * block_elems;
        of_blocks[static_cast<std::size_t>(b)] = see_block(source, begin + at, std::min(block_elems, count - at));
      }
    });
    for (const Statistics& block : of_blocks) add_block(total, block);
  }
  if (total.first_nonfinite >= 0) total.first_nonfinite += begin;
  return total;
}

}  // namespace bnq::detail
