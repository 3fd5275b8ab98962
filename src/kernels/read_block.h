#pragma once

#include <bnq/tensor.h>

#include "core/elements.h"
#include "kernels/kernel.h"

#include <algorithm>
#include <cstdint>
#include <span>

namespace bnq::detail {

/// Elements of a tensor side by side, and what can be done with them.
struct Block {
  const RowOperations& ops;
  const void* values;
  std::int64_t count;

  [[nodiscard]] float absmax() const { return ops.absmax(values, count); }
  [[nodiscard]] Magnitudes magnitudes() const { return ops.magnitudes(values, count); }
  [[nodiscard]] double sum() const { return ops.sum(values, count); }
  void divide(const CodeRule& rule, std::int8_t* codes) const { ops.divide(values, count, rule, codes); }
  void multiply(const CodeRule& rule, std::int8_t* codes) const { ops.multiply(values, count, rule, codes); }
  void widen(float* out) const { ops.widen(values, count, out); }
};

/// Elements [begin, begin + count) of `view`: the tensor's own where they lie side by side, else widened into `buffer`,
/// which has room for them. The dtype must be quantizable.
inline Block read_block(const RowKernels& kernels, const TensorView& view, std::int64_t begin, std::int64_t count,
                        float* buffer) {
  const auto size = static_cast<std::int64_t>(size_bytes(view.dtype()));
  const auto* const at = static_cast<const std::byte*>(view.data()) + begin * size;
  const bool aligned = reinterpret_cast<std::uintptr_t>(at) % static_cast<std::uintptr_t>(size) == 0;
  if (view.contiguous() && aligned) return {kernels.of(view.dtype()), at, count};
  read_elements(view, begin, {buffer, static_cast<std::size_t>(count)});
  return {kernels.f32, buffer, count};
}

/// Has elements [begin, begin + count) of a view without gaps, as far as it has them, brought nearer.
inline void prefetch(const TensorView& view, std::int64_t begin, std::int64_t count) {
  constexpr std::int64_t line_bytes = 64;
  if (!view.contiguous()) return;
  const auto element_bytes = static_cast<std::int64_t>(size_bytes(view.dtype()));
  const auto* const first = static_cast<const std::byte*>(view.data()) + begin * element_bytes;
  const std::int64_t bytes = std::min(count, view.elements() - begin) * element_bytes;
  for (std::int64_t at = 0; at < bytes; at += line_bytes) __builtin_prefetch(first + at, 0, 2);
}

}  // namespace bnq::detail
