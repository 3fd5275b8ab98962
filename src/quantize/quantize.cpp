#include <bnq/quantize.h>

#include "core/elements.h"
#include "core/fail.h"
#include "core/parallel.h"
#include "kernels/read_block.h"
#include "kernels/registry.h"
#include "quantize/granules.h"
#include "quantize/scheme_row.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <limits>
#include <mutex>

namespace bnq {
namespace {

using detail::Fit;
using detail::Granules;
using detail::SchemeRow;

using detail::block_elems;

constexpr std::int64_t blocks_a_thread = 64;

void encode_granule(const detail::GranuleSource& source, const detail::Encoder& encoder, std::int64_t begin,
                    std::span<std::int8_t> codes) {
  const auto count = static_cast<std::int64_t>(codes.size());
  const std::int64_t blocks = detail::ceil_div(count, block_elems);
  detail::parallel_for(blocks, blocks_a_thread, [&](std::int64_t first, std::int64_t last) {
    std::array<float, block_elems> buffer;
    for (std::int64_t at = first * block_elems; at < std::min(count, last * block_elems); at += block_elems) {
      const std::int64_t size = std::min(block_elems, count - at);
      detail::prefetch(source.view, begin + count + at, size);  // memory would rest while codes are computed
      const detail::Block block = detail::read_block(source.kernels, source.view, begin + at, size, buffer.data());
      encoder.row.encode(encoder, block, codes.data() + at);
    }
  });
}

/// Everything that happened on all threads; the same whatever their number.
class Events {
 public:
  void add(const Fit& fit) {
    floored_ += fit.floored ? 1 : 0;
    prequantized_ += fit.prequantized ? 1 : 0;
  }

  void saw_nonfinite(std::int64_t flat) {
    const std::lock_guard lock(mutex_);
    first_nonfinite_ = std::min(first_nonfinite_, flat);
  }

  void require_finite(const TensorView& values) const {
    if (first_nonfinite_ == none) return;
    float value = 0;
    detail::read_elements(values, first_nonfinite_, {&value, 1});
    const std::string text = std::isnan(value) ? "NaN" : value > 0 ? "infinity" : "-infinity";
    detail::fail(ErrorKind::bad_content, {.where = "quantize",
                                          .what = "a value is not finite",
                                          .got = text + " at " + detail::index_text(values.shape(), first_nonfinite_),
                                          .need = "finite numbers",
                                          .cure = "find out where it came from; no scale can hold it"});
  }

  [[nodiscard]] QuantizeCounts counts() const { return {floored_, prequantized_}; }

 private:
  static constexpr std::int64_t none = std::numeric_limits<std::int64_t>::max();

  std::atomic<std::int64_t> floored_{0};
  std::atomic<std::int64_t> prequantized_{0};
  std::mutex mutex_;
  std::int64_t first_nonfinite_ = none;
};

}  // namespace

QuantizedTensor quantize(const TensorView& values, const Scheme& scheme) {
  detail::require_quantizable("quantize", values.dtype());
  if (scheme.is_given()) {
    detail::fail(ErrorKind::unsupported, {.where = "quantize",
                                          .what = "this scheme names what another program made, and has no rule",
                                          .got = scheme.to_string(),
                                          .need = "a scheme to quantize to, as 8 or 4"});
  }
  const SchemeRow& row = scheme.row();
  const detail::GranuleSource source{detail::row_kernels(active_isa()), values, row.needs};
  const Granules granules(values.shape(), scheme.granularity());
  Tensor codes = Tensor::uninitialized(DType::i8, values.shape());
  Tensor scales(DType::f32, scales_shape(values.shape(), scheme.granularity()));
  Events events;
  detail::parallel_for(granules.count(), granules.grain(), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const std::int64_t begin = granules.begin(i);
      const std::int64_t size = granules.size(i);
      const detail::Statistics statistics = detail::gather_statistics(source, begin, size);
      if (statistics.first_nonfinite >= 0) {
        events.saw_nonfinite(statistics.first_nonfinite);
        continue;
      }
      const Fit fit = row.fit(row, statistics);
      scales.data<float>()[static_cast<std::size_t>(i)] = fit.scale;
      const auto part =
          codes.data<std::int8_t>().subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(size));
      encode_granule(source, {row, fit}, begin, part);
      events.add(fit);
    }
  });
  events.require_finite(values);
  return QuantizedTensor(QuantizedTensor::Parts{scheme, values.dtype(), values.shape(), std::move(codes),
                                                std::move(scales), events.counts()});
}

QuantizedTensor quantize_activations(const TensorView& x) { return quantize(x, Scheme::activations()); }

}  // namespace bnq
