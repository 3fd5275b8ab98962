#include "checkpoint/clients/architecture.h"

#include <algorithm>
#include <array>

namespace bnq::detail {
namespace {

using Names = std::string_view;

constexpr std::array<Names, 7> llama_linear{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                            "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
                                            "mlp.down_proj"};
constexpr std::array<Names, 1> llama_heads{"lm_head"};
constexpr std::array<Names, 1> llama_embeddings{"embed_tokens"};

constexpr std::array<Names, 6> bert_linear{"attention.self.query",   "attention.self.key", "attention.self.value",
                                           "attention.output.dense", "intermediate.dense", "output.dense"};
constexpr std::array<Names, 7> bert_model_linear{
    "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
    "intermediate.dense",   "output.dense",       "pooler.dense"};
constexpr std::array<Names, 2> bert_lm_heads{"cls.predictions.transform.dense", "cls.predictions.decoder"};
constexpr std::array<Names, 1> bert_classifier{"classifier"};
constexpr std::array<Names, 3> bert_embeddings{"word_embeddings", "position_embeddings", "token_type_embeddings"};

constexpr std::array<Names, 4> gpt2_linear{"attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"};
constexpr std::array<Names, 2> gpt2_embeddings{"wte", "wpe"};

constexpr Architecture llama_like(Names name) {
  return {name, "model.", llama_linear, llama_heads, llama_embeddings, true, false};
}

// Tested in tests/clients: transformers loads what is written for them. Falcon3 is a LlamaForCausalLM.
constexpr std::array architectures{
    llama_like("LlamaForCausalLM"),
    llama_like("MistralForCausalLM"),
    llama_like("Qwen2ForCausalLM"),
    llama_like("Qwen3ForCausalLM"),
    llama_like("BitNetForCausalLM"),
    Architecture{"BertModel", "", bert_model_linear, {}, bert_embeddings, false, false},
    Architecture{"BertForMaskedLM", "bert.", bert_linear, bert_lm_heads, bert_embeddings, false, false},
    Architecture{"BertForSequenceClassification", "bert.", bert_model_linear, bert_classifier, bert_embeddings, false,
                 false},
    Architecture{"GPT2LMHeadModel", "transformer.", gpt2_linear, llama_heads, gpt2_embeddings, false, true},
};

/// Is `module` one of `ends`, or PREFIX.END?
bool ends_in(std::string_view module, std::span<const Names> ends) {
  return std::ranges::any_of(ends, [&](Names end) {
    if (!module.ends_with(end)) return false;
    return module.size() == end.size() || module[module.size() - end.size() - 1] == '.';
  });
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

Role role_of(const Architecture& architecture, std::string_view tensor) {
  const std::string_view module = module_of(tensor);
  if (module.empty()) return Role::other;
  if (ends_in(module, architecture.heads)) return Role::head;
  if (ends_in(module, architecture.embeddings)) return Role::embedding;
  return ends_in(module, architecture.linear) ? Role::linear : Role::other;
}

std::string_view module_of(std::string_view tensor) {
  constexpr std::string_view ending = ".weight";
  return tensor.ends_with(ending) ? tensor.substr(0, tensor.size() - ending.size()) : std::string_view();
}

}  // namespace bnq::detail
