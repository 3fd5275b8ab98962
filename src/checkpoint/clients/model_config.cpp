#include "checkpoint/clients/model_config.h"

#include "core/fail.h"
#include "io/json/parse_json.h"

#include <nlohmann/json.hpp>

namespace bnq::detail {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// Every insertion into an ordered object looks at all its keys. Labels of 22,000 classes, the most that is common, are
// 44,000 keys.
constexpr JsonLimits limits{.depth = 32, .keys = 65'536};
constexpr const char* quantization_key = "quantization_config";

template <typename Json>
Json parsed(const std::string& where, std::string_view text) {
  Json document = parse_json<Json>(where, text, limits);
  if (document.is_object()) return document;
  fail(ErrorKind::bad_content, {.where = where, .what = "is no JSON object"});
}

std::string text_at(const json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

std::string dumped(const ordered_json& document) {
  return document.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

/// Null when the config says nothing of quantization.
const json* quantization_of(const json& document) {
  auto at = document.find(quantization_key);
  if (at == document.end()) at = document.find("compression_config");  // older compressed-tensors
  return at == document.end() || at->is_null() ? nullptr : &*at;
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
  const auto document = parsed<json>(where, text);
  ModelConfig config{.dtype = dtype_of(document)};
  if (const json* const quantization = quantization_of(document); quantization != nullptr) {
    const std::string here = where + ", '" + quantization_key + "'";
    config.quant_method = quant_method_of(here, *quantization);
    config.quantization = parse_quantization(here, config.quant_method, *quantization);
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
  auto document = parsed<ordered_json>(quantization_key, config);
  document[quantization_key] = ordered_json::parse(quantization);
  return dumped(document);
}

std::string without_quantization(std::string_view config) {
  auto document = parsed<ordered_json>(quantization_key, config);
  document.erase(quantization_key);
  return dumped(document);
}

}  // namespace bnq::detail
