#include "checkpoint/findings.h"

#include "core/checked.h"
#include "core/elements.h"
#include "core/parallel.h"

#include <array>
#include <mutex>
#include <span>

namespace bnq::detail {
namespace {

constexpr std::int64_t block_elems = 4096;
constexpr std::int64_t blocks_a_thread = 16;

}  // namespace

Findings look_at(const TensorView& view) {
  Findings total;
  std::mutex mutex;
  const std::int64_t blocks = ceil_div(view.elements(), block_elems);
  parallel_for(blocks, blocks_a_thread, [&](std::int64_t first, std::int64_t last) {
    std::array<float, block_elems> buffer;
    Findings here;
    for (std::int64_t b = first; b < last; ++b) {
      const std::int64_t begin = b * block_elems;
      const auto count = static_cast<std::size_t>(std::min(block_elems, view.elements() - begin));
      const std::span<float> block(buffer.data(), count);
      read_elements(view, begin, block);
      for (const float value : block) here.see(value);
    }
    const std::lock_guard lock(mutex);
    total.add(here);
  });
  return total;
}

}  // namespace bnq::detail
