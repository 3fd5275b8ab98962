#include "checkpoint/rules/rules.h"

#include "core/fail.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

namespace bnq::detail {
namespace {

// What a name that is no linear weight's holds, in lower case. An embedding table is looked up, not multiplied.
constexpr std::array<std::string_view, 4> embedding_words{"embed", "wte", "wpe", "shared"};
constexpr std::array<std::string_view, 2> other_words{"norm", "relative_attention_bias"};
constexpr std::array<std::string_view, 3> router_words{".gate.weight", "router", "expert_gate"};
constexpr std::string_view expert_word = "expert";
// Several linear layers in one matrix.
constexpr std::array<std::string_view, 5> fused_words{"qkv", "query_key_value", "c_attn", "gate_up", "in_proj"};
constexpr std::string_view head_word = "lm_head";

/// `where` is the option or rule that `text` belongs to.
Scheme parse_scheme(const std::string& where, const std::string& text, const std::string& cure) {
  std::optional<Scheme> scheme;
  try {
    scheme = Scheme::parse(text);
  } catch (const Error& error) {
    throw Error(error.kind(), where + ": " + error.what() + cure);
  }
  if (scheme->rule() != Scheme::activations().rule() && !scheme->is_given()) return *scheme;
  fail(ErrorKind::invalid_argument,
       {.where = where,
        .what = scheme->is_given() ? "this scheme names what another program made" : "this scheme is for activations",
        .got = "'" + printable(text) + "'",
        .need = "one for weights, as 8"});
}

std::optional<Scheme> parse_or_keep(const std::string& where, const std::string& text) {
  if (text.empty() || text == "keep") return std::nullopt;
  return parse_scheme(where, text, "; or 'keep'");
}

/// To the shell's matcher a bracket that is never closed is an ordinary letter; here it is a slip.
bool closes_brackets(std::string_view pattern) {
  for (std::size_t at = 0; at < pattern.size(); ++at) {
    if (pattern[at] == '\\') {
      ++at;  // what follows stands for itself
    } else if (pattern[at] == '[') {
      const bool negated = pattern.substr(at + 1).starts_with('!') || pattern.substr(at + 1).starts_with('^');
      at = pattern.find(']', at + (negated ? 3 : 2));  // what stands first is a member, a bracket too
      if (at == std::string_view::npos) return false;
    }
  }
  return true;
}

bool matches(const std::string& pattern, const std::string& name) {
  return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

bool is_literal(const std::string& pattern) { return pattern.find_first_of("*?[") == std::string::npos; }

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

template <std::size_t count>
bool holds_any(const std::string& text, const std::array<std::string_view, count>& words) {
  return std::ranges::any_of(words, [&](std::string_view word) { return text.find(word) != std::string::npos; });
}

Decision keep(std::string why) { return {std::nullopt, "kept: " + std::move(why)}; }

Decision follow(const std::optional<Scheme>& scheme, const std::string& what) {
  return scheme ? Decision{scheme, what} : keep(what);
}

std::string not_quantized(DType dtype) { return std::string(name(dtype)) + " is not quantized"; }

}  // namespace

Rules::Rules(const QuantizeOptions& options)
    : scheme_(parse_scheme("quantize", options.scheme, "")),
      embeddings_(parse_choice("embeddings", options.embeddings)),
      head_(parse_choice("head", options.head)) {
  const bool chooses = !options.rules.empty() || !options.embeddings.empty() || !options.head.empty();
  if (!options.plan.empty() && chooses) {
    fail(ErrorKind::invalid_argument, {.where = "plan",
                                       .what = "decides for every tensor, and rules, embeddings or head are given too",
                                       .cure = "edit the plan, or leave it out"});
  }
  for (const Rule& rule : options.rules) {
    const std::string text = rule.pattern + "=" + rule.scheme;
    const std::string where = "rule '" + printable(text) + "'";
    if (rule.pattern.empty() || rule.scheme.empty()) {
      fail(ErrorKind::invalid_argument,
           {.where = where, .what = "is incomplete", .need = "PATTERN=SCHEME, or PATTERN=keep"});
    }
    if (!closes_brackets(rule.pattern)) {
      fail(ErrorKind::invalid_argument, {.where = where,
                                         .what = "a '[' is never closed",
                                         .need = "[abc], [a-z] or [!a]",
                                         .cure = "write \\[ for the bracket itself"});
    }
    rules_.push_back(
        {.pattern = rule.pattern, .text = text, .scheme = parse_or_keep(where, rule.scheme), .refused = {}});
  }
}

Rules::Choice Rules::parse_choice(const char* option, const std::string& text) {
  return {.text = text.empty() ? "" : std::string(option) + "=" + text, .scheme = parse_or_keep(option, text)};
}

Decision Rules::Choice::follow(const char* what) {
  ++hits;
  return bnq::detail::follow(scheme, what);
}

Decision Rules::decide(const Candidate& tensor, const Architecture* architecture) {
  Parsed* last = nullptr;
  for (Parsed& rule : rules_) {
    if (!matches(rule.pattern, tensor.name)) continue;
    if (is_quantizable(tensor.dtype) || !rule.scheme) {
      ++rule.hits;
    } else if (rule.refused.empty()) {
      rule.refused = tensor.name;
    }
    last = &rule;
  }
  if (!is_quantizable(tensor.dtype)) return keep(not_quantized(tensor.dtype));
  if (last == nullptr)
    return architecture == nullptr ? decide_by_name(tensor) : decide_by_architecture(tensor, *architecture);
  return follow(last->scheme, "rule '" + printable(last->text) + "'");
}

Decision Rules::decide_by_name(const Candidate& tensor) {
  const std::string name = lower(tensor.name);
  if (tensor.axes == 3 && name.find(expert_word) != std::string::npos) return keep(std::string(fused_experts));
  if (!name.ends_with(".weight")) return keep("not named *.weight");
  if (tensor.axes != 2) return keep(std::to_string(tensor.axes) + "-d");
  if (holds_any(name, other_words)) return keep("norm or bias table");
  if (name.find(head_word) != std::string::npos) return head_.follow("head");
  if (holds_any(name, embedding_words)) return embeddings_.follow("embedding");
  if (holds_any(name, router_words)) return keep("router of experts");
  return {scheme_, holds_any(name, fused_words) ? std::string(fused_weight) : "linear weight"};
}

Decision Rules::decide_by_architecture(const Candidate& tensor, const Architecture& architecture) {
  const std::string model = "a " + std::string(architecture.name);
  const Role role = role_of(architecture, tensor.name);
  if (role == Role::other) return keep("no linear weight of " + model);
  if (tensor.axes != 2) return keep(std::to_string(tensor.axes) + "-d");
  if (role == Role::head) return head_.follow("head");
  if (role == Role::embedding) return embeddings_.follow("embedding");
  if (holds_any(tensor.name, router_words)) return keep("router of experts");
  if (architecture.is_transposed) return keep("its rows are inputs in " + model + " (Conv1D)");
  return {scheme_, "linear weight"};
}

std::vector<RuleHits> Rules::hits() const {
  std::vector<RuleHits> hits;
  for (const Parsed& rule : rules_) hits.push_back({rule.text, rule.hits});
  for (const Choice& choice : {head_, embeddings_}) {
    if (!choice.text.empty()) hits.push_back({choice.text, choice.hits});
  }
  return hits;
}

void Rules::require_followed() const {
  for (const Parsed& rule : rules_) {
    if (rule.refused.empty() || (rule.hits > 0 && !is_literal(rule.pattern))) continue;
    fail(ErrorKind::invalid_argument, {.where = "rule '" + printable(rule.text) + "'",
                                       .what = "asks to quantize '" + printable(rule.refused) + "'",
                                       .got = "an integer or f64 tensor",
                                       .need = "f32, f16 or bf16",
                                       .cure = "take the rule away; such tensors are copied"});
  }
}

}  // namespace bnq::detail
