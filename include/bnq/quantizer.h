#pragma once

#include <bnq/export.h>
#include <bnq/quantize.h>

#include <optional>
#include <string>
#include <string_view>

namespace bnq {

/// The front door: one scheme for weights, BitNet's int8 per token for activations, and the way back.
///
/// `precision` is 8 … 2 (absmax integers), 1.58 (ternary) or 1 (binary). Precision 8 means int8, not ternary:
/// `to_string` spells out what will be done.
class BNQ_EXPORT BitNetQuantizer {
 public:
  /// Throws `invalid_argument` with the list of what is allowed.
  explicit BitNetQuantizer(double precision = 8, std::optional<Granularity> granularity = {});
  explicit BitNetQuantizer(Scheme scheme) : scheme_(scheme) {}

  [[nodiscard]] const Scheme& scheme() const noexcept { return scheme_; }

  [[nodiscard]] QuantizedTensor quantize_weights(const TensorView& weight) const { return quantize(weight, scheme_); }
  [[nodiscard]] QuantizedTensor quantize_activations(const TensorView& x) const { return bnq::quantize_activations(x); }
  [[nodiscard]] Tensor dequantize(const QuantizedTensor& q) const { return bnq::dequantize(q); }

  /// "BitNetQuantizer(weights=int8-absmax:row, activations=int8-token:row)"
  [[nodiscard]] std::string to_string() const;

 private:
  Scheme scheme_;
};

}  // namespace bnq
