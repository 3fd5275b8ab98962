#pragma once

#include <bnq/tensor.h>

#include "core/elements.h"
#include "kernels/kernel.h"

#include <algorithm>
#include <cstdint>
#include <span>

namespace bnq::detail {

/// Elements [begin, begin + count) of `view` as float32: the tensor's own where they lie side by side, else widened
/// into `buffer`, which has room for them. The dtype must be quantizable.
inline const float* read_block(const RowKernels& kernels, const TensorView& view, std::int64_t begin,
                               std::int64_t count, float* buffer) {
  const auto size = static_cast<std::int64_t>(size_bytes(view.dtype()));
  const auto* const at = static_cast<const std::byte*>(view.data()) + begin * size;
  const bool aligned = reinterpret_cast<std::uintptr_t>(at) % static_cast<std::uintptr_t>(size) == 0;
  if (!view.contiguous() || !aligned) {
    read_elements(view, begin, {buffer, static_cast<std::size_t>(count)});
    return buffer;
  }
  if (view.dtype() == DType::f32) return reinterpret_cast<const float*>(at);
  const auto* const half = reinterpret_cast<const std::uint16_t*>(at);
  if (view.dtype() == DType::f16) {
    kernels.widen_f16(half, count, buffer);
  } else {
    kernels.widen_bf16(half, count, buffer);
  }
  return buffer;
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
