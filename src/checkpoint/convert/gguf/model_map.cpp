#include "checkpoint/convert/gguf/model_map.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace bnq::detail {
namespace {

// Names of GGUF: the tables of llama.cpp (llama-arch.cpp), which its kin share.
using enum Extent;
constexpr std::array<TensorName, 3> outside{{{"model.embed_tokens.weight", embedding_name, {vocabulary, width}},
                                             {"model.norm.weight", output_norm_name, {width}},
                                             {"lm_head.weight", head_name, {vocabulary, width}}}};

constexpr std::array<TensorName, 9> llama{{{"input_layernorm.weight", "attn_norm.weight", {width}},
                                           {"self_attn.q_proj.weight", "attn_q.weight", {queries, width}},
                                           {"self_attn.k_proj.weight", "attn_k.weight", {keys, width}},
                                           {"self_attn.v_proj.weight", "attn_v.weight", {keys, width}},
                                           {"self_attn.o_proj.weight", "attn_output.weight", {width, queries}},
                                           {"post_attention_layernorm.weight", "ffn_norm.weight", {width}},
                                           {"mlp.gate_proj.weight", "ffn_gate.weight", {inner_width, width}},
                                           {"mlp.up_proj.weight", "ffn_up.weight", {inner_width, width}},
                                           {"mlp.down_proj.weight", "ffn_down.weight", {width, inner_width}}}};

template <std::size_t n>
constexpr std::array<TensorName, llama.size() + n> llama_and(const std::array<TensorName, n>& more) {
  std::array<TensorName, llama.size() + n> all{};
  std::ranges::copy(llama, all.begin());
  std::ranges::copy(more, all.begin() + llama.size());
  return all;
}

constexpr auto qwen2 = llama_and<3>({{{"self_attn.q_proj.bias", "attn_q.bias", {queries}},
                                      {"self_attn.k_proj.bias", "attn_k.bias", {keys}},
                                      {"self_attn.v_proj.bias", "attn_v.bias", {keys}}}});
constexpr auto qwen3 = llama_and<2>({{{"self_attn.q_norm.weight", "attn_q_norm.weight", {head_width}},
                                      {"self_attn.k_norm.weight", "attn_k_norm.weight", {head_width}}}});
constexpr auto bitnet = llama_and<2>({{{"self_attn.attn_sub_norm.weight", "attn_sub_norm.weight", {width}},
                                       {"mlp.ffn_sub_norm.weight", "ffn_sub_norm.weight", {inner_width}}}});

// Behind bitnet its names elsewhere, with squared ReLU as the model needs it.
constexpr std::array maps{
    ModelMap{"LlamaForCausalLM", "llama", true, true, "silu", llama},
    ModelMap{"Qwen2ForCausalLM", "qwen2", false, true, "silu", qwen2},
    ModelMap{"Qwen3ForCausalLM", "qwen3", false, true, "silu", qwen3},
    ModelMap{"BitNetForCausalLM", "bitnet", false, false, "relu2", bitnet},
    ModelMap{"BitNetForCausalLM", "bitnet-b1.58", false, false, "relu2", bitnet},
    ModelMap{"BitNetForCausalLM", "bitnet-25", false, false, "relu2", bitnet},
};

constexpr std::string_view hf_layers = "model.layers.";
constexpr std::string_view gguf_layers = "blk.";

/// "3" and "mlp.up_proj.weight" of "model.layers.3.mlp.up_proj.weight"; both empty for another name.
std::array<std::string_view, 2> split(std::string_view name, std::string_view layers) {
  if (!name.starts_with(layers)) return {};
  name.remove_prefix(layers.size());
  const std::size_t dot = name.find('.');
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + std::min(dot, name.size()), number);
  const std::string_view digits = name.substr(0, dot);
  const bool is_number =
      error == std::errc() && end == digits.data() + digits.size() && std::to_string(number) == digits;
  if (dot == std::string_view::npos || !is_number) return {};
  return {digits, name.substr(dot + 1)};
}

}  // namespace

const ModelMap* find_map(std::string_view hf) {
  const auto* const at = std::ranges::find(maps, hf, &ModelMap::hf);
  return at == maps.end() ? nullptr : at;
}

const ModelMap* find_gguf_map(std::string_view gguf) {
  const auto* const at = std::ranges::find(maps, gguf, &ModelMap::gguf);
  return at == maps.end() ? nullptr : at;
}

std::string mapped_architectures() {
  std::string text;
  std::string_view last;
  for (const ModelMap& map : maps) {
    if (map.hf != last) text += (text.empty() ? "" : ", ") + std::string(map.hf);
    last = map.hf;
  }
  return text;
}

std::string_view architecture_for(const ModelMap& map, std::string_view layout) {
  const bool is_kin = layout == "i2_s" || layout == "iq2_bn";
  return map.gguf == "bitnet" && is_kin ? "bitnet-b1.58" : map.gguf;
}

std::string gguf_name(const ModelMap& map, std::string_view hf) {
  const auto* const at = std::ranges::find(outside, hf, &TensorName::hf);
  if (at != outside.end()) return std::string(at->gguf);
  const auto [layer, inside] = split(hf, hf_layers);
  const auto own = std::ranges::find(map.layer, inside, &TensorName::hf);
  if (layer.empty() || own == map.layer.end()) return {};
  return std::string(gguf_layers) + std::string(layer) + "." + std::string(own->gguf);
}

std::string hf_name(const ModelMap& map, std::string_view gguf) {
  const TensorName* const tensor = find_tensor(map, gguf);
  if (tensor == nullptr) return {};
  const std::string_view layer = split(gguf, gguf_layers)[0];
  if (layer.empty()) return std::string(tensor->hf);
  return std::string(hf_layers) + std::string(layer) + "." + std::string(tensor->hf);
}

const TensorName* find_tensor(const ModelMap& map, std::string_view gguf) {
  const auto [layer, inside] = split(gguf, gguf_layers);
  const std::span<const TensorName> names = layer.empty() ? std::span<const TensorName>(outside) : map.layer;
  const auto at = std::ranges::find(names, layer.empty() ? gguf : inside, &TensorName::gguf);
  return at == names.end() ? nullptr : &*at;
}

Rotated rotated(std::string_view gguf) {
  if (gguf.ends_with(".attn_q.weight") || gguf.ends_with(".attn_q.bias")) return Rotated::query;
  if (gguf.ends_with(".attn_k.weight") || gguf.ends_with(".attn_k.bias")) return Rotated::key;
  return Rotated::no;
}

std::string layer_prefix(std::int64_t layer) { return std::string(gguf_layers) + std::to_string(layer) + "."; }

}  // namespace bnq::detail
