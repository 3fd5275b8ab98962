#include <bnq/quantize.h>

#include "core/elements.h"
#include "core/fail.h"
#include "core/parallel.h"
#include "quantize/granules.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace bnq {
namespace {

constexpr std::int64_t block_elems = 4096;
constexpr std::int64_t blocks_a_thread = 16;

/// code * scale.
void decode(std::span<const std::int8_t> codes, float scale, float* values) {
  for (const std::int8_t code : codes) *values++ = static_cast<float>(code) * scale;
}

/// The same, held at ±largest. Returns how many were.
std::int64_t decode_held(std::span<const std::int8_t> codes, float scale, float largest, float* values) {
  std::int64_t held = 0;
  for (const std::int8_t code : codes) {
    const float value = static_cast<float>(code) * scale;
    held += std::fabs(value) > largest ? 1 : 0;
    *values++ = std::clamp(value, -largest, largest);
  }
  return held;
}

/// From how many elements for each code of the scheme on a table of their values pays: rounding to f16 takes many
/// instructions, to bf16 few, and to f32 none.
std::size_t elems_a_level(DType dtype) {
  if (dtype == DType::f32) return std::numeric_limits<std::int32_t>::max();
  return dtype == DType::f16 ? 1 : 8;
}

/// What the codes of a granule stand for, in a dtype.
class GranuleValues {
 public:
  GranuleValues(const Scheme& scheme, float scale, DType dtype, std::size_t count)
      : scale_(scale), dtype_(dtype), min_code_(scheme.min_code()), largest_(detail::largest_finite(dtype)) {
    const int most = std::max(-scheme.min_code(), scheme.max_code());
    may_exceed_ = !(static_cast<float>(most) * scale <= largest_);
    const int levels = scheme.max_code() - scheme.min_code() + 1;
    is_table_ = !may_exceed_ && count > static_cast<std::size_t>(levels) * elems_a_level(dtype);
    if (is_table_) fill_table(levels);
  }

  /// Writes the values of at most block_elems codes. Returns how many were held at the largest finite number.
  std::int64_t write(std::span<const std::int8_t> codes, std::byte* out) const {
    if (is_table_) return look_up(codes, out);
    const bool is_aligned = reinterpret_cast<std::uintptr_t>(out) % alignof(float) == 0;
    if (dtype_ == DType::f32 && is_aligned && !may_exceed_) {
      decode(codes, scale_, reinterpret_cast<float*>(out));
      return 0;
    }
    std::array<float, block_elems> values;
    std::int64_t held = 0;
    if (may_exceed_) {
      held = decode_held(codes, scale_, largest_, values.data());
    } else {
      decode(codes, scale_, values.data());
    }
    detail::write_elements({values.data(), codes.size()}, dtype_, out);
    return held;
  }

 private:
  void fill_table(int levels) {
    std::array<std::int8_t, 256> codes;
    for (int level = 0; level < levels; ++level) {
      codes[static_cast<std::size_t>(level)] = static_cast<std::int8_t>(min_code_ + level);
    }
    std::array<float, 256> values;
    const auto count = static_cast<std::size_t>(levels);
    decode({codes.data(), count}, scale_, values.data());
    detail::write_elements({values.data(), count}, dtype_, table_.data());
  }

  std::int64_t look_up(std::span<const std::int8_t> codes, std::byte* out) const {
    for (const std::int8_t code : codes) {
      std::memcpy(out, &table_[static_cast<std::size_t>(code - min_code_)], sizeof(std::uint16_t));
      out += sizeof(std::uint16_t);
    }
    return 0;
  }

  float scale_;
  DType dtype_;
  int min_code_;
  float largest_;
  bool may_exceed_ = false;
  bool is_table_ = false;
  std::array<std::uint16_t, 256> table_;  ///< by code - min_code_, where it is a table
};

/// One granule, block by block; a large one on several threads.
std::int64_t dequantize_range(std::span<const std::int8_t> codes, const GranuleValues& values, std::size_t size_bytes,
                              std::byte* out) {
  const auto count = static_cast<std::int64_t>(codes.size());
  std::atomic<std::int64_t> held{0};
  detail::parallel_for(
      detail::ceil_div(count, block_elems), blocks_a_thread, [&](std::int64_t first, std::int64_t last) {
        std::int64_t held_here = 0;
        for (std::int64_t at = first * block_elems; at < std::min(count, last * block_elems); at += block_elems) {
          const auto begin = static_cast<std::size_t>(at);
          const auto size = static_cast<std::size_t>(std::min(block_elems, count - at));
          held_here += values.write(codes.subspan(begin, size), out + begin * size_bytes);
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
      const GranuleValues values(q.scheme(), scale, out.dtype(), codes.size());
      held_here += dequantize_range(codes, values, element_bytes, bytes + begin * element_bytes);
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
