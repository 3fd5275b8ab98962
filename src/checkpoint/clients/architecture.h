#pragma once

#include <span>
#include <string>
#include <string_view>

namespace bnq::detail {

/// What a tensor named MODULE.weight is in a model.
enum class Role { linear, head, embedding, other };

/// A model whose modules are known: which of its weights belong to linear layers. Names are the ends of modules' names.
struct Architecture {
  std::string_view name;  ///< as config.json has it, "LlamaForCausalLM"
  std::string_view
      base;  ///< what stands before the names of the base model's modules, and not when that is loaded alone
  std::span<const std::string_view> linear;
  std::span<const std::string_view> heads;  ///< linear layers that are kept unless asked for
  std::span<const std::string_view> embeddings;
  bool has_embedding_form;  ///< its client loads int8 embeddings
  bool is_transposed;       ///< linear weights are [in, out] (GPT-2's Conv1D): no client has a low-bit form for them
};

/// Null for one that is not on the list. A new one is a row, and a test that transformers loads it.
[[nodiscard]] const Architecture* find_architecture(std::string_view name);

/// "BertModel, …": the names on the list.
[[nodiscard]] std::string architecture_names();

[[nodiscard]] Role role_of(const Architecture& architecture, std::string_view tensor);

/// "a.b" of "a.b.weight"; empty for a tensor of another name.
[[nodiscard]] std::string_view module_of(std::string_view tensor);

}  // namespace bnq::detail
