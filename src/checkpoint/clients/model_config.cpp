#include "checkpoint/clients/model_config.h"

#include "core/fail.h"
#include "io/json/json_text.h"
#include "io/json/parse_json.h"

#include <nlohmann/json.hpp>

namespace bnq::detail {
namespace {

using nlohmann::json;

// Labels of 22,000 classes, the most that is common, are
// 44,000 keys.
constexpr JsonLimits limits{.depth = 32, .keys = 65'536};
constexpr const char* quantization_key = "quantization_config";
constexpr const char* older_key = "compression_config";  // of compressed-tensors

json parsed(const std::string& where, std::string_view text) {
  auto document = parse_json<json>(where, text, limits);
  if (document.is_object()) return document;
  fail(ErrorKind::bad_content, {.where = where, .what = "is no JSON object"});
}

std::string text_at(const json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

/// Null when the object says nothing of quantization.
const json* quantization_of(const json& object) {
  for (const char* const key : {quantization_key, older_key}) {
    const auto at = object.find(key);
    if (at != object.end() && !at->is_null()) return &*at;
  }
  return nullptr;
}

/// Of a part of a composite model: names in it are the part's own, and nobody says what becomes of the rest.
void see_inner_quantization(ModelConfig& config, const std::string& where, const json& document) {
  for (const auto& [key, part] : document.items()) {
    const json* const quantization = part.is_object() ? quantization_of(part) : nullptr;
    if (quantization == nullptr) continue;
    config.quant_method = quant_method_of(where + ", '" + printable(key) + "'", *quantization);
    config.quantization.unread =
        "a quantization_config inside '" + printable(key) + "' (one of the whole model is read)";
    return;
  }
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
  const auto document = parsed(where, without_non_finite(text));
  ModelConfig config{.dtype = dtype_of(document)};
  if (const json* const quantization = quantization_of(document); quantization != nullptr) {
    const std::string here = where + ", '" + quantization_key + "'";
    config.quant_method = quant_method_of(here, *quantization);
    config.quantization = parse_quantization(here, config.quant_method, *quantization);
  } else {
    see_inner_quantization(config, where, document);
  }
  const auto names = document.find("architectures");
  if (names != document.end() && names->is_array() && !names->empty() && names->front().is_string()) {
    config.architecture = names->front().get<std::string>();
  }
  const auto tied = document.find("tie_word_embeddings");
  config.is_tied = tied != document.end() && tied->is_boolean() && tied->get<bool>();
  config.may_be_tied = config.is_tied || tied == document.end();
  config.weights = text_at(document, "transformers_weights");
  return config;
}

std::string with_quantization(std::string_view config, const std::string& quantization) {
  std::string value = nlohmann::ordered_json::parse(quantization).dump(2);
  for (std::size_t at = 0; (at = value.find('\n', at)) != std::string::npos; ++at) value.insert(at + 1, "  ");
  return with_member(without_quantization(config), quantization_key, value);
}

std::string without_quantization(std::string_view config) {
  return without_member(without_member(config, quantization_key), older_key);
}

}  // namespace bnq::detail
