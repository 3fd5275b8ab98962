#pragma once

#include <bnq/target.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bnq::detail {

/// A layout that a target reads, for schemes whose codes take so many bits: a ternary tensor would fit a layout of 8
/// bits too, and nobody wants it there unasked.
struct TargetLayout {
  std::string_view name;
  int least_bits;
  int most_bits;
};

/// What a tensor is in its model.
enum class ModelPart : std::uint8_t { linear, head, embedding, other };

/// A weight of a model that is to run on a target.
struct TargetTensor {
  std::string_view name;
  ModelPart part;
  std::optional<Scheme> scheme;  ///< empty: stays float
};

/// Why a model does not load whole, though each of its tensors would.
struct ModelRefusal {
  std::string tensor;
  std::string why;
  std::string cure;
};

/// One target. The table stands in target.cpp.
struct TargetRow {
  std::string_view name;
  std::string_view about;
  Target::Reads reads;
  /// Of those that hold a tensor, the first is taken.
  std::span<const TargetLayout> layouts;
  /// Empty, or why it does not take such a tensor, beyond what no layout of it holds.
  std::string (*refusal)(const Scheme& scheme, const Shape& shape);
  std::vector<std::string> (*differences)(const Scheme& scheme);
  /// What no tensor shows alone; null where there is nothing.
  std::optional<ModelRefusal> (*model_refusal)(std::span<const TargetTensor> tensors) = nullptr;
};

/// Why a target reads no more than matrices; empty for one.
[[nodiscard]] std::string axes_refusal(const Shape& shape);

/// What to choose in place of a scheme that a target never takes: the same rule with another granularity, or all that
/// it takes, "int8-absmax:row, …".
[[nodiscard]] std::string schemes_instead(const Target& target, const Scheme& scheme);

[[nodiscard]] inline bool is_ternary(const Scheme& scheme) { return scheme.rule() == "ternary-absmean"; }

// One file each.
extern const TargetRow target_transformers;
extern const TargetRow target_vllm;
extern const TargetRow target_llama_cpp;
extern const TargetRow target_bitnet_cpp;
extern const TargetRow target_onnxruntime;

}  // namespace bnq::detail
