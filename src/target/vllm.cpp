// vLLM: loads the compressed-tensors forms of the same folders, and no BitNet. Read in its public source
// (model_executor/layers/quantization/compressed_tensors, files of 2024 to 2026), not run.

#include "target/target_row.h"

#include <algorithm>
#include <array>
#include <map>

namespace bnq::detail {
namespace {

using Kind = Granularity::Kind;

constexpr std::array layouts{TargetLayout{"i8", 8, 8}, TargetLayout{"i32_ct", 4, 4}};
constexpr std::array<std::int64_t, 3> group_sizes{32, 64, 128};  // of the Marlin kernels

std::string refusal(const Scheme& scheme, const Shape& shape) {
  if (is_ternary(scheme)) return "it has no layers for BitNet's packed ternary weights";
  if (const std::string why = target_transformers.refusal(scheme, shape); !why.empty()) return why;
  if (scheme.code_bits() == 8) return {};
  if (scheme.code_bits() != 4) {
    return "of packed weights its releases compute 4 bits; other widths only new ones, with a kernel package besides";
  }
  const Granularity& granularity = scheme.granularity();
  const bool is_usual =
      granularity.kind != Kind::group || std::ranges::find(group_sizes, granularity.group_size) != group_sizes.end();
  return is_usual ? "" : "its kernels take groups of 32, 64 or 128, or one scale a row";
}

std::vector<std::string> differences(const Scheme& scheme) {
  if (scheme.code_bits() == 8) {
    return {"activations: int8 a token by a reciprocal in float32, without the floor 1e-5: a code moves now and then",
            "the rest of the model is computed in float16 or bfloat16"};
  }
  return {"activations stay float16 or bfloat16: weights only, and scales are rounded to the same",
          "before June 2026 its kernels wanted rows in multiples of 64 and a depth in multiples of 128"};
}

/// Layers that it makes one of, by the ends of their names.
using Fused = std::array<std::string_view, 3>;
constexpr std::array fused{Fused{"q_proj", "k_proj", "v_proj"}, Fused{"gate_proj", "up_proj", "up_proj"}};

struct Name {
  std::string_view before;  ///< what siblings share: "model.layers.0.self_attn."
  std::string_view own;     ///< "q_proj"
};

Name split(std::string_view tensor) {
  constexpr std::string_view ending = ".weight";
  if (!tensor.ends_with(ending)) return {};
  tensor.remove_suffix(ending.size());
  const std::size_t dot = tensor.rfind('.');
  return dot == std::string_view::npos ? Name{{}, tensor} : Name{tensor.substr(0, dot + 1), tensor.substr(dot + 1)};
}

std::string scheme_text(const std::optional<Scheme>& scheme) { return scheme ? scheme->to_string() : "kept in floats"; }

/// Of one group of `fused`: two siblings that are quantized differently.
std::optional<ModelRefusal> split_group(std::span<const TargetTensor> tensors, const Fused& group) {
  std::map<std::string_view, const TargetTensor*> first;
  for (const TargetTensor& tensor : tensors) {
    const Name name = split(tensor.name);
    if (std::ranges::find(group, name.own) == group.end()) continue;
    const auto [at, is_new] = first.emplace(name.before, &tensor);
    if (is_new || at->second->scheme == tensor.scheme) continue;
    return ModelRefusal{.tensor = std::string(tensor.name),
                        .why = "it makes one layer of this and " + std::string(split(at->second->name).own) +
                               ", and they differ: " + scheme_text(tensor.scheme) + ", " +
                               scheme_text(at->second->scheme),
                        .cure = "give all of such a layer one scheme, or keep all of it"};
  }
  return {};
}

/// Of one quantized tensor, by what it is in the model.
std::optional<ModelRefusal> part_refusal(const TargetTensor& tensor) {
  const std::string name(tensor.name);
  if (tensor.part == ModelPart::head) {
    return ModelRefusal{name, "it takes the head for floats in most of its releases", "leave out --head"};
  }
  if (tensor.part == ModelPart::embedding) {
    return ModelRefusal{name, "it takes embeddings for floats", "leave out --embeddings"};
  }
  if (name.find(".attention.self.") == std::string::npos) return {};
  return ModelRefusal{name, "its BERT calls this layer otherwise than the folder's config, which names each layer",
                      "choose another --target"};
}

std::optional<ModelRefusal> model_refusal(std::span<const TargetTensor> tensors) {
  for (const TargetTensor& tensor : tensors) {
    if (!tensor.scheme) continue;
    if (std::optional<ModelRefusal> found = part_refusal(tensor)) return found;
  }
  for (const Fused& group : fused) {
    if (std::optional<ModelRefusal> found = split_group(tensors, group)) return found;
  }
  return {};
}

}  // namespace

constinit const TargetRow target_vllm{.name = "vllm",
                                      .about = "vLLM: a model folder of int8 or int4 by compressed-tensors",
                                      .reads = Target::Reads::folder,
                                      .layouts = layouts,
                                      .refusal = refusal,
                                      .differences = differences,
                                      .model_refusal = model_refusal};

}  // namespace bnq::detail
