#pragma once

#include <bnq/export.h>
#include <bnq/layout.h>
#include <bnq/quantize.h>
#include <bnq/target.h>

#include <optional>
#include <string>
#include <string_view>

namespace bnq {

/// The front door: one scheme for weights, BitNet's int8 per token for activations, and the way back.
///
/// `precision` is 8 … 2 (absmax integers), 1.58 (ternary) or 1 (binary). Precision 8 means int8, not ternary:
/// `to_string` spells out what will be done. With a target, nothing is made that it could not load or compute.
class BNQ_EXPORT BitNetQuantizer {
 public:
  /// Throws `invalid_argument` with the list of what is allowed; `unsupported` for what the target never takes.
  explicit BitNetQuantizer(double precision = 8, std::optional<Granularity> granularity = {},
                           std::optional<Target> target = {});
  explicit BitNetQuantizer(Scheme scheme, std::optional<Target> target = {});

  [[nodiscard]] const Scheme& scheme() const noexcept { return scheme_; }
  [[nodiscard]] const std::optional<Target>& target() const noexcept { return target_; }

  /// Throws `unsupported` for a tensor that the target does not take; else as `quantize` does.
  [[nodiscard]] QuantizedTensor quantize_weights(const TensorView& weight) const;
  [[nodiscard]] QuantizedTensor quantize_activations(const TensorView& x) const { return bnq::quantize_activations(x); }
  [[nodiscard]] Tensor dequantize(const QuantizedTensor& q) const { return bnq::dequantize(q); }

  /// Into the layout that the target takes for it; without a target as `bnq::pack` chooses.
  /// Throws `unsupported` for what the target does not take, or a scale that the layout cannot hold.
  [[nodiscard]] PackedTensor pack(const QuantizedTensor& q) const;

  /// "BitNetQuantizer(weights=int8-absmax:row, activations=int8-token:row, target=llama.cpp)"; the target where there
  /// is one.
  [[nodiscard]] std::string to_string() const;

 private:
  Scheme scheme_;
  std::optional<Target> target_;
};

}  // namespace bnq
