#include "io/metadata.h"

#include <bnq/version.h>

#include "core/fail.h"
#include "io/json/parse_json.h"
#include "io/system_call.h"

#include <nlohmann/json.hpp>

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <utility>

namespace bnq::detail {
namespace {

using nlohmann::json;

constexpr int form_version = 1;  // raised when an older bnq could misread what is written
constexpr int deepest = 4;       // {tensors: {name: {shape: [n]}}}

json options_of(const QuantizeOptions& options) {
  json rules = json::array();
  for (const Rule& rule : options.rules) rules.push_back(rule.pattern + "=" + rule.scheme);
  if (!options.plan.empty()) return {{"plan", true}};
  return {{"scheme", options.scheme}, {"rules", rules}, {"embeddings", options.embeddings}, {"head", options.head}};
}

constexpr const char* scale_key = "scale_bits";  // of a scale that the file holds inverted: float32 bits, 8 hex digits

std::string hex_bits(float value) {
  std::array<char, 9> text{};
  (void)std::snprintf(text.data(), text.size(), "%08x", std::bit_cast<std::uint32_t>(value));
  return text.data();
}

float float_of_hex(const std::string& text) {
  std::uint32_t bits = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bits, 16);
  const float value = std::bit_cast<float>(bits);
  const bool valid = error == std::errc() && end == text.data() + text.size() && text.size() == 8;
  if (valid && std::isfinite(value) && value > 0) return value;
  fail(ErrorKind::bad_content, {.where = scale_key,
                                .what = "no positive float32",
                                .got = "'" + printable(text) + "'",
                                .need = "its bits as eight hex digits"});
}

json object_of(const FileForm& form) {
  json object = {{"scheme", form.scheme.to_string()},
                 {"layout", form.layout.name()},
                 {"dtype", name(form.dtype)},
                 {"shape", form.shape}};
  if (form.has_inverse_scale) object[scale_key] = hex_bits(form.scale);
  return object;
}

DType quantizable_dtype(const std::string& text) {
  const auto dtype = parse_dtype(text);
  if (dtype && is_quantizable(*dtype)) return *dtype;
  fail(ErrorKind::bad_content,
       {.where = "dtype", .what = "unknown", .got = "'" + printable(text) + "'", .need = "f32, f16 or bf16"});
}

FileForm form_of(const std::string& name, const json& object) {
  const auto shape = object.at("shape").get<Shape>();
  (void)element_count(shape);
  FileForm form{name, Scheme::parse(object.at("scheme").get<std::string>()),
                Layout::parse(object.at("layout").get<std::string>()),
                quantizable_dtype(object.at("dtype").get<std::string>()), shape};
  if (const auto bits = object.find(scale_key); bits != object.end()) {
    form.has_inverse_scale = true;
    form.scale = float_of_hex(bits->get<std::string>());
    if (granule_count(form.shape, form.scheme.granularity()) != 1) {
      fail(ErrorKind::bad_content, {.where = scale_key, .what = "stands at a tensor that has not one scale"});
    }
  }
  const std::string refusal = form.layout.row().file_suffix ? form.layout.refusal(form.scheme, form.shape)
                                                            : "is a layout of other programs' files";
  if (refusal.empty()) return form;
  fail(ErrorKind::bad_content,
       {.where = "layout " + std::string(form.layout.name()), .what = "cannot hold this tensor: it " + refusal});
}

/// JSON numbers that are no whole numbers would be read as such.
void require_whole_numbers(const json& shape) {
  for (const json& extent : shape) {
    if (!extent.is_number_integer()) throw Error(ErrorKind::bad_content, "shape: an extent is not a whole number");
  }
}

FileForm stated_form(const std::string& where, const std::string& name, const json& object) {
  const std::string here = where + ": '" + printable(name) + "'";
  try {
    require_whole_numbers(object.at("shape"));
    return form_of(name, object);
  } catch (const json::exception& error) {
    fail(ErrorKind::bad_content, {.where = here, .what = "lacks what it needs", .got = json_reason(error.what())});
  } catch (const Error& error) {
    throw Error(ErrorKind::bad_content, here + ": " + error.what());
  }
}

void require_known_form(const std::string& where, const json& document) {
  const json& stated = document.at("form");
  const auto form = stated.is_number_integer() ? stated.get<std::int64_t>() : 0;
  if (form == form_version) return;
  fail(ErrorKind::bad_content, {.where = where,
                                .what = form > form_version ? "written by a newer bnq" : "has no valid 'form'",
                                .got = "form " + std::to_string(form),
                                .need = std::to_string(form_version),
                                .cure = form > form_version ? "update bnq" : "the file is damaged"});
}

}  // namespace

safetensors::Metadata metadata_of(safetensors::Metadata inherited, const std::vector<FileForm>& forms,
                                  const QuantizeOptions* options) {
  json tensors = json::object();
  for (const FileForm& form : forms) tensors[form.name] = object_of(form);
  json document = {{"version", BNQ_VERSION}, {"form", form_version}, {"tensors", std::move(tensors)}};
  if (options != nullptr) document["options"] = options_of(*options);
  // Rules come from a command line, which may hold any bytes.
  inherited[metadata_key] = document.dump(-1, ' ', false, json::error_handler_t::replace);
  inherited.erase(dequantized_key);
  inherited.try_emplace("format", "pt");  // Transformers opens no file without it
  return inherited;
}

Stated read_metadata(const safetensors::Reader& reader) {
  const auto entry = reader.metadata().find(metadata_key);
  if (entry == reader.metadata().end()) return {};
  const std::string where = text_of(reader.path()) + ": metadata '" + metadata_key + "'";
  const json document = parse_json<json>(where, entry->second, {.depth = deepest});
  Stated stated;
  try {
    require_known_form(where, document);
    stated.version = document.at("version").get<std::string>();
    for (const auto& [name, object] : document.at("tensors").get_ref<const json::object_t&>()) {
      stated.forms.push_back(stated_form(where, name, object));
    }
  } catch (const json::exception& error) {
    fail(ErrorKind::bad_content, {.where = where, .what = "lacks what it needs", .got = json_reason(error.what())});
  }
  return stated;
}

}  // namespace bnq::detail
