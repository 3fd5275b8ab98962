#include "core/elements.h"

#include "core/fail.h"
#include "core/float16.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace bnq::detail {
namespace {

/// One element at a byte address of any alignment: file mappings promise none.
template <typename Bits, float (*widen)(Bits)>
float load(const std::byte* at) {
  Bits bits;
  std::memcpy(&bits, at, sizeof bits);
  return widen(bits);
}

constexpr float f32_from_bits(std::uint32_t bits) { return std::bit_cast<float>(bits); }

/// `count` elements, `step_bytes` apart.
template <typename Bits, float (*widen)(Bits)>
void read_line(const std::byte* at, std::int64_t step_bytes, std::int64_t count, float* out) {
  for (std::int64_t i = 0; i < count; ++i) out[i] = load<Bits, widen>(at + i * step_bytes);
}

using ReadLine = void (*)(const std::byte*, std::int64_t, std::int64_t, float*);

ReadLine line_reader(DType dtype) {
  if (dtype == DType::f32) return read_line<std::uint32_t, f32_from_bits>;
  if (dtype == DType::f16) return read_line<std::uint16_t, f16_to_f32>;
  return read_line<std::uint16_t, bf16_to_f32>;
}

/// Offset in elements of the first element of collapsed row `row`.
std::int64_t row_offset(const TensorView& view, std::int64_t row) {
  std::int64_t offset = 0;
  for (std::size_t axis = view.shape().size() - 1; axis-- > 0;) {
    offset += row % view.shape()[axis] * view.strides()[axis];
    row /= view.shape()[axis];
  }
  return offset;
}

void read_strided(const TensorView& view, std::int64_t begin, std::span<float> out) {
  const auto bytes = static_cast<std::int64_t>(size_bytes(view.dtype()));
  const auto* const data = static_cast<const std::byte*>(view.data());
  const ReadLine read = line_reader(view.dtype());
  const std::int64_t depth = view.depth();
  const std::int64_t step = view.strides().back();
  std::int64_t done = 0;
  const auto size = static_cast<std::int64_t>(out.size());
  while (done < size) {
    const std::int64_t row = (begin + done) / depth;
    const std::int64_t column = (begin + done) % depth;
    const std::int64_t count = std::min(depth - column, size - done);
    read(data + (row_offset(view, row) + column * step) * bytes, step * bytes, count, out.data() + done);
    done += count;
  }
}

std::uint32_t canonical_bits(float value) {
  return std::isnan(value) ? f32_quiet_nan : std::bit_cast<std::uint32_t>(value);
}

template <typename Bits, Bits (*narrow)(float)>
void write_line(std::span<const float> values, void* out) {
  auto* at = static_cast<std::byte*>(out);
  for (const float value : values) {
    const Bits bits = narrow(value);
    std::memcpy(at, &bits, sizeof bits);
    at += sizeof bits;
  }
}

}  // namespace

void read_elements(const TensorView& view, std::int64_t begin, std::span<float> out) {
  if (out.empty()) return;
  if (!view.contiguous()) return read_strided(view, begin, out);
  const auto bytes = static_cast<std::int64_t>(size_bytes(view.dtype()));
  const auto* const data = static_cast<const std::byte*>(view.data());
  line_reader(view.dtype())(data + begin * bytes, bytes, static_cast<std::int64_t>(out.size()), out.data());
}

void write_elements(std::span<const float> values, DType dtype, void* out) {
  if (dtype == DType::f32) return write_line<std::uint32_t, canonical_bits>(values, out);
  if (dtype == DType::f16) return write_line<std::uint16_t, f32_to_f16>(values, out);
  write_line<std::uint16_t, f32_to_bf16>(values, out);
}

float largest_finite(DType dtype) {
  if (dtype == DType::f32) return std::numeric_limits<float>::max();
  if (dtype == DType::f16) return f16_to_f32(0x7BFFU);
  return bf16_to_f32(0x7F7FU);
}

std::string index_text(const Shape& shape, std::int64_t flat) {
  Shape index(shape.size());
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    index[axis] = flat % shape[axis];
    flat /= shape[axis];
  }
  return to_string(index);
}

void require_quantizable(const char* where, DType dtype) {
  if (is_quantizable(dtype)) return;
  fail(ErrorKind::unsupported, {.where = where,
                                .what = "this dtype is not quantized",
                                .got = std::string(name(dtype)),
                                .need = "f32, f16 or bf16",
                                .cure = "convert the tensor to f32 first"});
}

}  // namespace bnq::detail
