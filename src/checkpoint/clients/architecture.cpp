#include "checkpoint/clients/architecture.h"

#include "core/fail.h"

#include <algorithm>
#include <array>
#include <utility>

namespace bnq::detail {
namespace {

using Names = std::string_view;

constexpr std::array<Names, 7> llama_linear{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                            "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
                                            "mlp.down_proj"};
constexpr std::array<Names, 1> llama_heads{"lm_head"};
constexpr std::array<Names, 1> llama_embeddings{"embed_tokens"};
constexpr std::array<Names, 2> llama_roots{"layers.", "embed_tokens"};

constexpr std::array<Names, 6> bert_linear{"attention.self.query",   "attention.self.key", "attention.self.value",
                                           "attention.output.dense", "intermediate.dense", "output.dense"};
constexpr std::array<Names, 7> bert_model_linear{
    "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
    "intermediate.dense",   "output.dense",       "pooler.dense"};
constexpr std::array<Names, 2> bert_lm_heads{"cls.predictions.transform.dense", "cls.predictions.decoder"};
constexpr std::array<Names, 1> bert_classifier{"classifier"};
constexpr std::array<Names, 3> bert_embeddings{"word_embeddings", "position_embeddings", "token_type_embeddings"};
constexpr std::array<Names, 3> bert_roots{"encoder.layer.", "pooler.", "embeddings."};

constexpr std::array<Names, 4> gpt2_linear{"attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"};
constexpr std::array<Names, 2> gpt2_embeddings{"wte", "wpe"};
constexpr std::array<Names, 3> gpt2_roots{"h.", "wte", "wpe"};

constexpr Architecture llama_like(Names name) {
  return {name, "model.", llama_roots, llama_linear, llama_heads, llama_embeddings, true, false};
}

// Tested in tests/clients: transformers loads what is written for them. Falcon3 is a LlamaForCausalLM.
constexpr std::array architectures{
    llama_like("LlamaForCausalLM"),
    llama_like("MistralForCausalLM"),
    llama_like("Qwen2ForCausalLM"),
    llama_like("Qwen3ForCausalLM"),
    llama_like("BitNetForCausalLM"),
    Architecture{"BertModel", "", bert_roots, bert_model_linear, {}, bert_embeddings, false, false},
    Architecture{"BertForMaskedLM", "bert.", bert_roots, bert_linear, bert_lm_heads, bert_embeddings, false, false},
    Architecture{"BertForSequenceClassification", "bert.", bert_roots, bert_model_linear, bert_classifier,
                 bert_embeddings, false, false},
    Architecture{"GPT2LMHeadModel", "transformer.", gpt2_roots, gpt2_linear, llama_heads, gpt2_embeddings, false, true},
};

/// Is `module` one of `ends`, or PREFIX.END?
bool ends_in(std::string_view module, std::span<const Names> ends, bool whole) {
  if (whole) return std::ranges::binary_search(ends, module);
  return std::ranges::any_of(ends, [&](Names end) {
    if (!module.ends_with(end)) return false;
    return module.size() == end.size() || module[module.size() - end.size() - 1] == '.';
  });
}

std::vector<Names> sorted(const std::vector<std::string>& names) {
  std::vector<Names> views(names.begin(), names.end());
  std::ranges::sort(views);
  return views;
}

}  // namespace

const Architecture* find_architecture(std::string_view name) {
  const auto* const at = std::ranges::find(architectures, name, &Architecture::name);
  return at == architectures.end() ? nullptr : at;
}

std::string architecture_names() {
  std::string text;
  for (const Architecture& architecture : architectures) {
    text += (text.empty() ? "" : ", ") + std::string(architecture.name);
  }
  return text;
}

FolderArchitecture::FolderArchitecture(std::string name, std::optional<ModelModules> modules)
    : name_(std::move(name)), modules_(std::move(modules)), known_(find_architecture(name_)) {
  if (known_ != nullptr || !modules_ || !modules_->refusal.empty()) return;
  linear_ = sorted(modules_->linear);
  heads_ = sorted(modules_->heads);
  embeddings_ = sorted(modules_->embeddings);
  told_ = {.name = name_,
           .base = modules_->base,
           .roots = {},
           .linear = linear_,
           .heads = heads_,
           .embeddings = embeddings_,
           .has_embedding_form = false,
           .is_transposed = false,
           .has_whole_names = true,
           .bitnet_refusal = modules_->bitnet_refusal,
           .packed_refusal = modules_->packed_refusal};
  known_ = &told_;
}

std::string FolderArchitecture::why_unknown() const {
  if (name_.empty()) return "config.json names no architecture";
  const std::string unlisted = "architecture '" + printable(name_) + "' is not on the tested list (";
  if (modules_) return unlisted + architecture_names() + "), and " + printable(modules_->refusal);
  return unlisted + architecture_names() + "); bnq.quantize_checkpoint of Python asks transformers, if that is there";
}

Role role_of(const Architecture& architecture, std::string_view tensor) {
  const std::string_view module = module_of(tensor);
  if (module.empty()) return Role::other;
  const auto is_one_of = [&](std::span<const Names> names) {
    return ends_in(module, names, architecture.has_whole_names);
  };
  if (is_one_of(architecture.heads)) return Role::head;
  if (is_one_of(architecture.embeddings)) return Role::embedding;
  return is_one_of(architecture.linear) ? Role::linear : Role::other;
}

bool has_own_name(const Architecture& architecture, std::string_view tensor) {
  if (architecture.has_whole_names) return true;
  const std::string_view module = module_of(tensor);
  if (std::ranges::find(architecture.heads, module) != architecture.heads.end()) return true;
  if (!module.starts_with(architecture.base)) return false;
  const std::string_view inside = module.substr(architecture.base.size());
  return std::ranges::any_of(architecture.roots, [&](Names root) { return inside.starts_with(root); });
}

std::string_view module_of(std::string_view tensor) {
  constexpr std::string_view ending = ".weight";
  return tensor.ends_with(ending) ? tensor.substr(0, tensor.size() - ending.size()) : std::string_view();
}

}  // namespace bnq::detail
