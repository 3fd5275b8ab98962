#pragma once

#include <bnq/checkpoint.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bnq::detail {

/// What a tensor named MODULE.weight is in a model.
enum class Role { linear, head, embedding, other };

/// A model whose modules are known: which of its weights belong to linear layers. Names are the ends of modules' names.
struct Architecture {
  std::string_view name;  ///< as config.json has it, "LlamaForCausalLM"
  std::string_view base;  ///< before the names of the base model's modules, and not when that is loaded alone
  std::span<const std::string_view> roots;  ///< what names of its weights start with after the base
  std::span<const std::string_view> linear;
  std::span<const std::string_view> heads;  ///< linear layers that are kept unless asked for
  std::span<const std::string_view> embeddings;
  bool has_embedding_form;  ///< its client loads int8 embeddings
  bool is_transposed;       ///< linear weights are [in, out] (GPT-2's Conv1D): no client has a low-bit form for them
  bool has_whole_names = false;          ///< they are modules' whole names, in order
  std::string_view bitnet_refusal = {};  ///< why ternary layers of transformers cannot stand in it
  std::string_view packed_refusal = {};  ///< why layers of less than 8 bits of compressed-tensors cannot
};

/// Null for one that is not on the list. A new one is a row, and a test that transformers loads it.
[[nodiscard]] const Architecture* find_architecture(std::string_view name);

/// "BertModel, …": the names on the list.
[[nodiscard]] std::string architecture_names();

/// The architecture of one folder: its row of the list, or what `modules` says where it has none.
class FolderArchitecture {
 public:
  FolderArchitecture(std::string name, std::optional<ModelModules> modules);
  FolderArchitecture(const FolderArchitecture&) = delete;
  FolderArchitecture& operator=(const FolderArchitecture&) = delete;

  /// Null when nobody knows it.
  [[nodiscard]] const Architecture* get() const { return known_; }

  /// Why nobody knows it.
  [[nodiscard]] std::string why_unknown() const;

 private:
  std::string name_;
  std::optional<ModelModules> modules_;
  std::vector<std::string_view> linear_, heads_, embeddings_;
  Architecture told_{};
  const Architecture* known_ = nullptr;
};

[[nodiscard]] Role role_of(const Architecture& architecture, std::string_view tensor);

/// Does the model have a weight of this name? Transformers renames some as it loads them ("layers.0…" of a base model
/// to "model.layers.0…"), and what a config says of a module's name is then lost on it.
[[nodiscard]] bool has_own_name(const Architecture& architecture, std::string_view tensor);

/// "a.b" of "a.b.weight"; empty for a tensor of another name.
[[nodiscard]] std::string_view module_of(std::string_view tensor);

}  // namespace bnq::detail
