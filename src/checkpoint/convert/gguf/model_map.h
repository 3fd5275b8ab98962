#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace bnq::detail {

/// What an extent of a tensor is, of those that config.json states.
enum class Extent : std::uint8_t { none, vocabulary, width, inner_width, head_width, queries, keys };

/// A tensor's name in Hugging Face's folders and in GGUF, without what stands before it in a layer, and its shape.
struct TensorName {
  std::string_view hf;
  std::string_view gguf;
  std::array<Extent, 2> shape;  ///< of a vector the first
};

/// One architecture: what its tensors are called in GGUF, and in which order rows lie there.
struct ModelMap {
  std::string_view hf;    ///< as config.json has it: "LlamaForCausalLM"
  std::string_view gguf;  ///< `general.architecture`: "llama"
  bool is_interleaved;    ///< rows of q and k: rotated pairs are neighbours in GGUF, and half a head apart outside
  bool has_head;          ///< loaders take an output.weight
  std::string_view activation;        ///< that loaders compute: "silu"
  std::span<const TensorName> layer;  ///< of each layer, all of them there
};

/// Null for an architecture without a map.
[[nodiscard]] const ModelMap* find_map(std::string_view hf);

/// By `general.architecture`, of any program; null for one without a map.
[[nodiscard]] const ModelMap* find_gguf_map(std::string_view gguf);

/// "LlamaForCausalLM, …"
[[nodiscard]] std::string mapped_architectures();

/// `general.architecture` for those who read this layout: bitnet.cpp and ik_llama.cpp call BitNet otherwise.
[[nodiscard]] std::string_view architecture_for(const ModelMap& map, std::string_view layout);

/// Empty for a name that the architecture does not have. "model.layers.3.mlp.up_proj.weight" is "blk.3.ffn_up.weight".
[[nodiscard]] std::string gguf_name(const ModelMap& map, std::string_view hf);
[[nodiscard]] std::string hf_name(const ModelMap& map, std::string_view gguf);

/// The row of a tensor by its name in GGUF; null where there is none.
[[nodiscard]] const TensorName* find_tensor(const ModelMap& map, std::string_view gguf);

/// Is this, in GGUF, a weight or bias of q or k, whose rows may have another order there?
enum class Rotated : std::uint8_t { no, query, key };
[[nodiscard]] Rotated rotated(std::string_view gguf);

inline constexpr std::string_view embedding_name = "token_embd.weight";
inline constexpr std::string_view output_norm_name = "output_norm.weight";
inline constexpr std::string_view head_name = "output.weight";
inline constexpr std::string_view rope_name = "rope_freqs.weight";  ///< made of the config, in no folder

/// "blk.3."
[[nodiscard]] std::string layer_prefix(std::int64_t layer);

}  // namespace bnq::detail
