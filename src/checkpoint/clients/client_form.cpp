#include "checkpoint/clients/client_form.h"

#include <bnq/target.h>

#include "core/fail.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace bnq::detail {
namespace {

using json = nlohmann::ordered_json;
using Kind = Granularity::Kind;

/// A tensor of a folder, as far as its client cares.
struct ClientTensor {
  std::string name;
  Role role;
  Shape shape;
  std::optional<Scheme> scheme;  ///< empty: kept
  bool has_bias;                 ///< a tensor MODULE.bias stands beside it
  DType dtype;
};

bool is_ternary(const Scheme& scheme) { return scheme.rule() == "ternary-absmean"; }

/// What a folder may hold of one tensor is the same for all clients: what transformers takes.
Target client() { return Target::parse("transformers"); }

bool is_client_scheme(const Scheme& scheme) { return client().refusal(scheme).empty(); }

std::string module_name(const ClientTensor& tensor) { return std::string(module_of(tensor.name)); }

/// A module's name without what stands before it in the whole model only: AutoModel loads the base model alone, and a
/// name that fits nothing there would leave a kept layer to be read as a quantized one. BitNet's client compares ends
/// of names, so this is its spelling.
std::string base_name(const Architecture& architecture, const std::string& module) {
  return module.starts_with(architecture.base) ? module.substr(architecture.base.size()) : module;
}

/// That of compressed-tensors compares whole names, or regular expressions after "re:". A base model on its own may be
/// loaded as a part of a whole one.
std::string as_expression(const Architecture& architecture, const std::string& module) {
  const std::string name = base_name(architecture, module);
  if (name.size() == module.size() && !architecture.base.empty()) return module;
  std::string expression = "re:(.*\\.)?";
  for (const char c : name) expression += c == '.' ? "\\." : std::string(1, c);
  return expression + "$";
}

using Spelling = std::string (*)(const Architecture& architecture, const std::string& module);

json spelled(const Architecture& architecture, std::span<const std::string> modules, Spelling spelling) {
  json list = json::array();
  for (const std::string& module : modules) list.push_back(spelling(architecture, module));
  return list;
}

/// Modules that are linear layers to the client and not quantized here, those without a tensor of their own (a tied
/// head) included: a kept layer that is not named would be loaded as a quantized one.
std::vector<std::string> kept_modules(const Architecture& architecture, std::span<const ClientTensor> tensors) {
  std::set<std::string> kept;
  std::set<std::string_view> seen_heads;
  for (const ClientTensor& tensor : tensors) {
    if (tensor.role != Role::linear && tensor.role != Role::head) continue;
    const std::string module = module_name(tensor);
    for (const std::string_view head : architecture.heads) {
      if (module.ends_with(head)) seen_heads.insert(head);
    }
    if (!tensor.scheme) kept.insert(module);
  }
  for (const std::string_view head : architecture.heads) {
    if (!seen_heads.contains(head)) kept.insert(std::string(head));
  }
  return {kept.begin(), kept.end()};
}

json weight_arguments(const Scheme& scheme) {
  const bool grouped = scheme.granularity().kind == Kind::group;
  json arguments = {{"num_bits", scheme.code_bits()}, {"type", "int"}, {"symmetric", true}, {"dynamic", false}};
  arguments["strategy"] = grouped ? "group" : "channel";
  if (grouped) arguments["group_size"] = scheme.granularity().group_size;
  return arguments;
}

std::string format_of(const Scheme& scheme) { return scheme.code_bits() == 8 ? "int-quantized" : "pack-quantized"; }

/// Layers of one scheme and kind: embeddings have no activations that a client could quantize.
struct Group {
  Scheme scheme;
  bool is_embedding;
  std::vector<std::string> modules;
};

std::vector<Group> groups_of(std::span<const ClientTensor> tensors) {
  std::vector<Group> groups;
  for (const ClientTensor& tensor : tensors) {
    if (!tensor.scheme) continue;
    const bool is_embedding = tensor.role == Role::embedding;
    auto at = std::ranges::find_if(
        groups, [&](const Group& g) { return g.scheme == *tensor.scheme && g.is_embedding == is_embedding; });
    if (at == groups.end()) at = groups.insert(groups.end(), {*tensor.scheme, is_embedding, {}});
    at->modules.push_back(module_name(tensor));
  }
  return groups;
}

/// compressed-tensors: one group of settings for each scheme. W8A8 for int8, weights only below.
ClientForm compressed_tensors(const Architecture& architecture, std::span<const ClientTensor> tensors) {
  std::vector<Group> groups = groups_of(tensors);
  const bool one = groups.size() == 1 && !groups.front().is_embedding;
  json config_groups = json::object();
  for (std::size_t i = 0; i < groups.size(); ++i) {
    Group& group = groups[i];
    std::ranges::sort(group.modules);
    // By name: of "Linear" were also the head that another class has, and a layer that this class has no place for.
    json object = {{"targets", spelled(architecture, group.modules, as_expression)},
                   {"weights", weight_arguments(group.scheme)},
                   {"input_activations", nullptr},
                   {"output_activations", nullptr},
                   {"format", format_of(group.scheme)}};
    if (group.scheme.code_bits() == 8 && !group.is_embedding) {
      object["input_activations"] = {
          {"num_bits", 8}, {"type", "int"}, {"symmetric", true}, {"dynamic", true}, {"strategy", "token"}};
    }
    config_groups["group_" + std::to_string(i)] = std::move(object);
  }
  const std::string format = one ? format_of(groups.front().scheme) : "mixed-precision";
  const json config = {{"quant_method", "compressed-tensors"},
                       {"format", format},
                       {"quantization_status", "compressed"},
                       {"config_groups", std::move(config_groups)},
                       {"ignore", spelled(architecture, kept_modules(architecture, tensors), as_expression)}};
  return {.name = "compressed-tensors " + format, .quantization_config = config.dump()};
}

/// Is a layer that this name stands for in `modules_to_not_convert` one of those that are quantized?
bool hits_quantized(const Architecture& architecture, std::string_view name, std::span<const ClientTensor> tensors) {
  return std::ranges::any_of(tensors, [&](const ClientTensor& t) {
    if (!t.scheme) return false;
    const std::string module = module_name(t);
    for (const std::string& spelling : {module, base_name(architecture, module)}) {
      if (spelling.ends_with(name) || spelling.starts_with(std::string(name) + ".")) return true;
    }
    return false;
  });
}

/// What the client of BitNet, which makes low-bit layers of all that it is not told to leave, is to leave: kept layers,
/// matrices that the class has no place for and another has, and heads of other classes, which the file does not hold.
std::vector<std::string> left_modules(const Architecture& architecture, std::span<const ClientTensor> tensors) {
  constexpr std::array<std::string_view, 8> heads_elsewhere{"lm_head",
                                                            "score",
                                                            "classifier",
                                                            "qa_outputs",
                                                            "pooler.dense",
                                                            "cls.predictions.transform.dense",
                                                            "cls.predictions.decoder",
                                                            "cls.seq_relationship"};
  const std::vector<std::string> kept = kept_modules(architecture, tensors);
  std::set<std::string> left(kept.begin(), kept.end());
  for (const ClientTensor& tensor : tensors) {
    const bool is_matrix = !tensor.scheme && tensor.role == Role::other && tensor.shape.size() == 2;
    const std::string module = module_name(tensor);
    if (is_matrix && !module.empty() && !hits_quantized(architecture, base_name(architecture, module), tensors)) {
      left.insert(module);
    }
  }
  for (const std::string_view head : heads_elsewhere) {
    if (!hits_quantized(architecture, head, tensors)) left.emplace(head);
  }
  return {left.begin(), left.end()};
}

/// Which class of transformers computes BitNet's layers. Its autobitlinear multiplies by the scale after adding the
/// bias, so that it is right without one only, and takes activations of the dtype of the file's floats only; its
/// bitlinear divides by what the file holds, and is right with both.
bool needs_bitlinear(const ModelConfig& config, std::span<const ClientTensor> tensors) {
  std::set<DType> floats;
  if (config.dtype) floats.insert(*config.dtype);
  for (const ClientTensor& tensor : tensors) {
    if (is_quantizable(tensor.dtype)) floats.insert(tensor.dtype);
  }
  const bool has_bias = std::ranges::any_of(tensors, [](const ClientTensor& t) { return t.scheme && t.has_bias; });
  return has_bias || floats.size() > 1;
}

ClientForm bitnet(const ModelConfig& config, const Architecture& architecture, std::span<const ClientTensor> tensors) {
  const bool divides = needs_bitlinear(config, tensors);
  const std::string linear_class = divides ? "bitlinear" : "autobitlinear";
  const json quantization = {
      {"quant_method", "bitnet"},
      {"linear_class", linear_class},
      {"quantization_mode", "offline"},
      {"modules_to_not_convert", spelled(architecture, left_modules(architecture, tensors), base_name)}};
  return {.name = "bitnet " + linear_class, .quantization_config = quantization.dump(), .inverse_scales = divides};
}

/// Transformers' bitlinear computes y / (127 / absmax / scale) in the model's dtype: in float16 that divisor passes the
/// largest number with scales and activations of usual size, and the layer gives zeros.
bool overflows(const ModelConfig& config, std::span<const ClientTensor> tensors) {
  if (!needs_bitlinear(config, tensors)) return false;
  if (config.dtype) return *config.dtype == DType::f16;
  return std::ranges::any_of(tensors, [](const ClientTensor& t) { return t.dtype == DType::f16; });
}

/// Without a quant_method transformers refuses to open the folder. One that it does not know it would pass over with a
/// warning, and compute with codes as if they were weights.
ClientForm bnq_only(std::string why) {
  const json config = {{"quantized_by", "bnq"}, {"opens_in", "bnq only"}, {"why", why}};
  const std::string text = config.dump(-1, ' ', false, json::error_handler_t::replace);
  return {.why_bnq_only = std::move(why), .quantization_config = text};
}

std::string_view form_refusal(const Architecture& architecture, const Scheme& scheme) {
  if (is_ternary(scheme)) return architecture.bitnet_refusal;
  return scheme.code_bits() < 8 ? architecture.packed_refusal : std::string_view();
}

/// Why no client could load these tensors; empty when one can.
std::string objection(const ModelConfig& config, const Architecture& architecture,
                      std::span<const ClientTensor> tensors) {
  std::set<bool> ternary;
  for (const ClientTensor& tensor : tensors) {
    const std::string name = "'" + printable(tensor.name) + "'";
    if (tensor.role != Role::other && !has_own_name(architecture, tensor.name)) {
      return name + " is no name of a weight of " + config.architecture + ", which renames it as it loads the file";
    }
    if (!tensor.scheme) continue;
    if (tensor.role == Role::other) return name + " is no weight of a linear layer or embedding";
    if (!is_client_scheme(*tensor.scheme)) return "no client has a form for " + tensor.scheme->to_string();
    if (const std::string refusal = client_refusal(*tensor.scheme, tensor.shape); !refusal.empty()) {
      return name + ": " + refusal;
    }
    if (std::string_view refusal = form_refusal(architecture, *tensor.scheme); !refusal.empty()) {
      return config.architecture + ": " + printable(std::string(refusal));
    }
    if (tensor.role == Role::head && !is_ternary(*tensor.scheme) && tensor.scheme->code_bits() < 8 &&
        config.may_be_tied) {
      return name + " may be tied to the embedding, and no client loads that in fewer than 8 bits";
    }
    ternary.insert(is_ternary(*tensor.scheme));
    if (tensor.role != Role::embedding) continue;
    if (!architecture.has_embedding_form) return name + " is an embedding, which no client loads quantized here";
    if (config.is_tied) return name + " is tied to the head, and no client loads that quantized";
    if (tensor.scheme->code_bits() != 8) return "embeddings have a form for int8-absmax:row only";
  }
  if (ternary.size() > 1) return "the plan mixes ternary with another scheme, and a folder has one quant_method";
  if (ternary.contains(true) && overflows(config, tensors)) {
    return "in float16 transformers' bitlinear, which ternary layers with a bias need, divides by infinity";
  }
  return "";
}

/// Tensors with the roles that they have in this architecture; of one that nobody knows they have none.
std::vector<ClientTensor> with_roles(std::span<const ModelTensor> tensors, const Architecture* architecture) {
  std::set<std::string_view> names;
  for (const ModelTensor& t : tensors) names.insert(t.name);
  std::vector<ClientTensor> made;
  for (const ModelTensor& t : tensors) {
    const Role role = architecture == nullptr ? Role::other : role_of(*architecture, t.name);
    made.push_back(
        {t.name, role, t.shape, t.scheme, names.contains(std::string(module_of(t.name)) + ".bias"), t.dtype});
  }
  return made;
}

}  // namespace

ClientForm client_form(const ModelConfig& config, const FolderArchitecture& folder,
                       std::span<const ModelTensor> model_tensors) {
  const std::vector<ClientTensor> tensors = with_roles(model_tensors, folder.get());
  if (std::ranges::none_of(tensors, [](const ClientTensor& t) { return t.scheme.has_value(); })) return {};
  const Architecture* const architecture = folder.get();
  if (architecture == nullptr) return bnq_only(folder.why_unknown());
  if (architecture->is_transposed) {
    return bnq_only(config.architecture + " holds its weights transposed (Conv1D), and no client has a form for that");
  }
  if (std::string why = objection(config, *architecture, tensors); !why.empty()) return bnq_only(std::move(why));
  const auto first = std::ranges::find_if(tensors, [](const ClientTensor& t) { return t.scheme.has_value(); });
  return is_ternary(*first->scheme) ? bitnet(config, *architecture, tensors)
                                    : compressed_tensors(*architecture, tensors);
}

std::string client_refusal(const Scheme& scheme, const Shape& shape) {
  return is_client_scheme(scheme) ? client().refusal(scheme, shape) : "";
}

}  // namespace bnq::detail
