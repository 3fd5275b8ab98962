#pragma once

#include <bnq/dtype.h>
#include <bnq/export.h>
#include <bnq/scheme.h>
#include <bnq/tensor.h>

#include <cstdint>
#include <span>

namespace bnq {

class PackedTensor;

/// Number of scales of a tensor of this shape. A tensor without elements has none.
/// Throws `invalid_argument` for a bad shape.
[[nodiscard]] BNQ_EXPORT std::int64_t granule_count(const Shape& shape, const Granularity& granularity);

/// Shape of the scales: `[1]` for tensor, `shape[:-1] + [1]` for row, `shape[:-1] + [groups]` for group;
/// the leading 1 of a 1-d or 0-d tensor is dropped. One extent is 0 when the tensor has no elements.
[[nodiscard]] BNQ_EXPORT Shape scales_shape(const Shape& shape, const Granularity& granularity);

/// What happened while quantizing. Zero in a tensor that was read from a file.
struct QuantizeCounts {
  std::int64_t floored_granules = 0;       ///< the scale rule's floor was used instead of the data's own scale
  std::int64_t prequantized_granules = 0;  ///< already {-a, 0, +a}: kept exactly
};

/// Values: one int8 code an element, and float32 scales that **multiply** codes. No bytes, no layout.
class BNQ_EXPORT QuantizedTensor {
 public:
  /// `codes` (i8) has `shape`; `scales` (f32) has granule_count elements; `dtype` is what dequantize gives back.
  /// Throws `invalid_argument` when sizes disagree, a code is none of the scheme's, or a scale is negative, NaN or
  /// infinite.
  QuantizedTensor(Scheme scheme, DType dtype, Shape shape, Tensor codes, Tensor scales, QuantizeCounts counts = {});

  [[nodiscard]] const Scheme& scheme() const noexcept { return scheme_; }
  [[nodiscard]] DType dtype() const noexcept { return dtype_; }  ///< of the float tensor this came from
  [[nodiscard]] const Shape& shape() const noexcept { return shape_; }
  [[nodiscard]] std::int64_t elements() const noexcept { return codes_.elements(); }
  [[nodiscard]] std::int64_t rows() const noexcept;
  [[nodiscard]] std::int64_t depth() const noexcept;

  [[nodiscard]] std::span<const std::int8_t> codes() const noexcept { return codes_.data<std::int8_t>(); }
  [[nodiscard]] std::span<const float> scales() const noexcept { return scales_.data<float>(); }
  [[nodiscard]] const QuantizeCounts& counts() const noexcept { return counts_; }

  /// Bytes held in memory: one a code, four a scale.
  [[nodiscard]] std::size_t nbytes() const noexcept { return codes_.nbytes() + scales_.nbytes(); }

  /// Bits an element when every code takes `scheme().code_bits()` bits, scales counted. 0 without elements.
  [[nodiscard]] double bits_per_weight() const noexcept;

 private:
  friend BNQ_EXPORT QuantizedTensor quantize(const TensorView& values, const Scheme& scheme);

  friend BNQ_EXPORT QuantizedTensor unpack(const PackedTensor& p);

  /// What quantize made is right, and unpack has looked: looking at every code again would cost as much as making it.
  struct Parts {
    Scheme scheme;
    DType dtype;
    Shape shape;
    Tensor codes;
    Tensor scales;
    QuantizeCounts counts;
  };
  explicit QuantizedTensor(Parts parts) noexcept;

  Scheme scheme_;
  DType dtype_;
  Shape shape_;
  Tensor codes_;
  Tensor scales_;
  QuantizeCounts counts_;
};

}  // namespace bnq
