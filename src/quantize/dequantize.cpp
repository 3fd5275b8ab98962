#include <bnq/quantize.h>

#include "core/elements.h"
#include "core/fail.h"
#include "core/parallel.h"
#include "quantize/granules.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>

namespace bnq {
namespace {

constexpr std::int64_t block_elems = 4096;
constexpr std::int64_t blocks_a_thread = 16;

/// code * scale, held at ±largest. Returns how many were.
std::int64_t decode(std::span<const std::int8_t> codes, float scale, float largest, std::span<float> values) {
  std::int64_t held = 0;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const float value = static_cast<float>(codes[i]) * scale;
    held += std::fabs(value) > largest ? 1 : 0;
    values[i] = std::clamp(value, -largest, largest);
  }
  return held;
}

/// One granule, block by block through a buffer; a large one on several threads.
std::int64_t dequantize_range(std::span<const std::int8_t> codes, float scale, DType dtype, std::byte* out) {
  const auto count = static_cast<std::int64_t>(codes.size());
  const float largest = detail::largest_finite(dtype);
  std::atomic<std::int64_t> held{0};
  detail::parallel_for(
      detail::ceil_div(count, block_elems), blocks_a_thread, [&](std::int64_t first, std::int64_t last) {
        std::array<float, block_elems> buffer;
        std::int64_t held_here = 0;
        for (std::int64_t at = first * block_elems; at < std::min(count, last * block_elems); at += block_elems) {
          const auto size = static_cast<std::size_t>(std::min(block_elems, count - at));
          const std::span<float> values(buffer.data(), size);
          held_here += decode(codes.subspan(static_cast<std::size_t>(at), size), scale, largest, values);
          detail::write_elements(values, dtype, out + static_cast<std::size_t>(at) * size_bytes(dtype));
        }
        held += held_here;
      });
  return held;
}

}  // namespace

std::int64_t dequantize_into(const QuantizedTensor& q, const MutableTensorView& out) {
  detail::require_quantizable("dequantize", out.dtype());
  if (out.shape() != q.shape()) {
    detail::fail(ErrorKind::invalid_argument, {.where = "dequantize",
                                               .what = "the output has another shape",
                                               .got = to_string(out.shape()),
                                               .need = to_string(q.shape())});
  }
  const detail::Granules granules(q.shape(), q.scheme().granularity());
  auto* const bytes = static_cast<std::byte*>(out.data());
  const std::size_t element_bytes = size_bytes(out.dtype());
  std::atomic<std::int64_t> held{0};
  detail::parallel_for(granules.count(), granules.grain(), [&](std::int64_t first, std::int64_t last) {
    std::int64_t held_here = 0;
    for (std::int64_t i = first; i < last; ++i) {
      const auto begin = static_cast<std::size_t>(granules.begin(i));
      const auto codes = q.codes().subspan(begin, static_cast<std::size_t>(granules.size(i)));
      const float scale = q.scales()[static_cast<std::size_t>(i)];
      held_here += dequantize_range(codes, scale, out.dtype(), bytes + begin * element_bytes);
    }
    held += held_here;
  });
  return held;
}

Tensor dequantize(const QuantizedTensor& q, DType dtype) {
  detail::require_quantizable("dequantize", dtype);
  Tensor out = Tensor::uninitialized(dtype, q.shape());
  (void)dequantize_into(q, out.mutable_view());
  return out;
}

Tensor dequantize(const QuantizedTensor& q) { return dequantize(q, q.dtype()); }

}  // namespace bnq
