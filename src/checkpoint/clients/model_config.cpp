#include "checkpoint/clients/model_config.h"

#include "core/fail.h"
#include "io/json_reason.h"

#include <nlohmann/json.hpp>

namespace bnq::detail {
namespace {

using json = nlohmann::ordered_json;

constexpr int deepest = 32;
constexpr const char* quantization_key = "quantization_config";

json parsed(const std::string& where, std::string_view text) {
  const auto look = [&](int depth, json::parse_event_t /*event*/, json& /*value*/) {
    if (depth > deepest) fail(ErrorKind::bad_content, {.where = where, .what = "is nested too deep"});
    return true;
  };
  try {
    json document = json::parse(text, look);
    if (document.is_object()) return document;
  } catch (const json::exception& error) {
    fail(ErrorKind::bad_content, {.where = where, .what = "is not JSON", .got = json_reason(error.what())});
  }
  fail(ErrorKind::bad_content, {.where = where, .what = "is no JSON object"});
}

std::string text_at(const json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

std::string dumped(const json& document) { return document.dump(2, ' ', false, json::error_handler_t::replace) + "\n"; }

/// Null when the config says nothing of quantization.
const json* quantization_of(const json& document) {
  auto at = document.find(quantization_key);
  if (at == document.end()) at = document.find("compression_config");  // older compressed-tensors
  return at == document.end() || !at->is_object() ? nullptr : &*at;
}

/// BitNet's "online" models hold float weights that are quantized as they run: those are what bnq quantizes.
std::string quant_method_of(const json& quantization) {
  if (text_at(quantization, "quantization_mode") == "online") return {};
  const std::string method = text_at(quantization, "quant_method");
  return method.empty() ? "unnamed" : method;
}

void add_text(std::vector<std::string>& texts, const json& object, const char* key) {
  if (std::string text = text_at(object, key); !text.empty()) texts.push_back(std::move(text));
}

QuantizationConfig details_of(const json& quantization) {
  QuantizationConfig config{.linear_class = text_at(quantization, "linear_class")};
  add_text(config.formats, quantization, "format");
  const auto groups = quantization.find("config_groups");
  if (groups == quantization.end() || !groups->is_object()) return config;
  for (const json& group : *groups) {
    if (!group.is_object()) continue;
    add_text(config.formats, group, "format");
    const auto weights = group.find("weights");
    if (weights == group.end() || !weights->is_object()) continue;
    add_text(config.types, *weights, "type");
    const auto bits = weights->find("num_bits");
    if (bits != weights->end() && bits->is_number_integer()) config.num_bits.push_back(bits->get<std::int64_t>());
  }
  return config;
}

std::optional<DType> dtype_of(const json& document) {
  std::string text = text_at(document, "dtype");
  if (text.empty()) text = text_at(document, "torch_dtype");
  if (text == "float32") return DType::f32;
  if (text == "float16") return DType::f16;
  if (text == "bfloat16") return DType::bf16;
  return {};
}

}  // namespace

ModelConfig parse_model_config(const std::string& where, std::string_view text) {
  const json document = parsed(where, text);
  ModelConfig config{.dtype = dtype_of(document)};
  if (const json* const quantization = quantization_of(document); quantization != nullptr) {
    config.quant_method = quant_method_of(*quantization);
    config.quantization = details_of(*quantization);
  }
  const auto names = document.find("architectures");
  if (names != document.end() && names->is_array() && !names->empty() && names->front().is_string()) {
    config.architecture = names->front().get<std::string>();
  }
  const auto tied = document.find("tie_word_embeddings");
  config.is_tied = tied != document.end() && tied->is_boolean() && tied->get<bool>();
  return config;
}

std::string with_quantization(std::string_view config, const std::string& quantization) {
  json document = parsed(quantization_key, config);
  document[quantization_key] = json::parse(quantization);
  return dumped(document);
}

std::string without_quantization(std::string_view config) {
  json document = parsed(quantization_key, config);
  document.erase(quantization_key);
  return dumped(document);
}

}  // namespace bnq::detail
