#include "checkpoint/convert/gguf/hf_model.h"

#include "checkpoint/convert/gguf/model_map.h"
#include "core/fail.h"
#include "io/json/json_text.h"
#include "io/json/parse_json.h"

#include <nlohmann/json.hpp>

#include <array>
#include <cmath>
#include <numbers>

namespace bnq::detail {
namespace {

using nlohmann::json;

constexpr JsonLimits limits{.depth = 32, .keys = 65'536};
constexpr std::int64_t largest = 1 << 30;

/// The config, whose sizes are asked for by name.
class Config {
 public:
  Config(std::string where, const json& object) : where_(std::move(where)), object_(object) {}

  [[nodiscard]] const json* find(const char* key) const {
    if (!object_.is_object()) return nullptr;
    const auto at = object_.find(key);
    return at == object_.end() || at->is_null() ? nullptr : &*at;
  }

  [[nodiscard]] std::int64_t size(const char* key, std::int64_t otherwise = 0) const {
    const json* const value = find(key);
    if (value == nullptr && otherwise > 0) return otherwise;
    if (value != nullptr && value->is_number_integer()) {
      const auto number = value->get<std::int64_t>();
      if (number > 0 && number <= largest) return number;
    }
    refuse(key, value, "a whole number from 1");
  }

  [[nodiscard]] double number(const char* key, double otherwise = 0) const {
    const json* const value = find(key);
    if (value == nullptr && otherwise > 0) return otherwise;
    if (value != nullptr && value->is_number()) {
      const auto number = value->get<double>();
      if (std::isfinite(number) && number > 0) return number;
    }
    refuse(key, value, "a positive number");
  }

  [[nodiscard]] bool flag(const char* key) const {
    const json* const value = find(key);
    return value != nullptr && value->is_boolean() && value->get<bool>();
  }

  /// Empty where there is none.
  [[nodiscard]] std::string text(const char* key) const {
    const json* const value = find(key);
    if (value == nullptr) return {};
    if (value->is_string()) return value->get<std::string>();
    refuse(key, value, "a text", "is no text");
  }

  /// Null where there is none, or an empty one.
  [[nodiscard]] const json* object(const char* key) const {
    const json* const value = find(key);
    if (value == nullptr) return nullptr;
    if (value->is_object()) return value->empty() ? nullptr : value;
    refuse(key, value, "an object", "is no object");
  }

  [[nodiscard]] const std::string& where() const { return where_; }

 private:
  [[noreturn]] void refuse(const char* key, const json* got, const char* need,
                           const char* what = "is missing or no size") const {
    fail(ErrorKind::bad_content,
         {.where = where_,
          .what = "'" + std::string(key) + "' " + what,
          .got =
              got == nullptr ? "" : printable(got->dump(-1, ' ', false, json::error_handler_t::replace).substr(0, 60)),
          .need = need});
  }

  std::string where_;
  const json& object_;
};

RopeScaling rope_scaling(const Config& rope) {
  RopeScaling scaling{.type = rope.text("rope_type")};
  if (scaling.type.empty()) scaling.type = rope.text("type");
  if (scaling.type.empty() || scaling.type == "default") return {};
  if (scaling.type != "linear" && scaling.type != "llama3") {
    fail(ErrorKind::unsupported, {.where = rope.where(),
                                  .what = "positions are scaled in a way that bnq does not put into GGUF",
                                  .got = "'" + printable(scaling.type) + "'",
                                  .need = "none, linear or llama3"});
  }
  scaling.factor = rope.number("factor");
  if (scaling.type == "linear") return scaling;
  scaling.low_frequency = rope.number("low_freq_factor");
  scaling.high_frequency = rope.number("high_freq_factor");
  scaling.original_context = rope.number("original_max_position_embeddings");
  if (scaling.high_frequency > scaling.low_frequency) return scaling;
  fail(ErrorKind::bad_content, {.where = rope.where(), .what = "'high_freq_factor' is not above 'low_freq_factor'"});
}

std::string first_architecture(const Config& config) {
  const json* const names = config.find("architectures");
  const bool has_one = names != nullptr && names->is_array() && !names->empty() && names->front().is_string();
  return has_one ? names->front().get<std::string>() : std::string();
}

/// What transformers takes where the config says nothing.
double usual_base(std::string_view architecture) { return architecture == "BitNetForCausalLM" ? 500'000 : 10'000; }

/// In transformers 5 the base stands with the scaling. Of two objects it takes the older, base and all; its earlier
/// versions know that one only, and other readers take the newer.
void read_rope(const Config& config, HfModel& model) {
  const json* const newer = config.object("rope_parameters");
  const json* const older = config.object("rope_scaling");
  if (newer != nullptr && older != nullptr && *newer != *older) {
    fail(ErrorKind::bad_content, {.where = config.where(),
                                  .what = "'rope_parameters' and 'rope_scaling' say different things of positions",
                                  .need = "one of them",
                                  .cure = "move what holds into one, with its rope_theta, and take the other away"});
  }
  if (newer != nullptr || older != nullptr) {
    const Config rope(config.where() + (newer != nullptr ? ", 'rope_parameters'" : ", 'rope_scaling'"),
                      newer != nullptr ? *newer : *older);
    model.rope = rope_scaling(rope);
    if (rope.find("rope_theta") != nullptr) model.rope_base = rope.number("rope_theta");
  }
  if (model.rope_base == 0) model.rope_base = config.number("rope_theta", usual_base(model.architecture));
}

void require_map(const std::string& where, std::string_view architecture) {
  if (find_map(architecture) != nullptr) return;
  fail(ErrorKind::unsupported, {.where = where,
                                .what = "bnq does not know what this architecture's tensors are called in GGUF",
                                .got = "'" + printable(std::string(architecture)) + "'",
                                .need = "one of " + mapped_architectures()});
}

std::uint32_t u32(std::int64_t size) { return static_cast<std::uint32_t>(size); }

}  // namespace

HfModel parse_hf_model(const std::string& where, std::string_view text) {
  const auto document = parse_json<json>(where, without_non_finite(text), limits);
  if (!document.is_object()) fail(ErrorKind::bad_content, {.where = where, .what = "is no JSON object"});
  const Config config(where, document);
  HfModel model{.architecture = first_architecture(config), .activation = config.text("hidden_act")};
  require_map(where, model.architecture);  // others call their sizes otherwise
  model.layers = config.size("num_hidden_layers");
  model.width = config.size("hidden_size");
  model.inner_width = config.size("intermediate_size");
  model.heads = config.size("num_attention_heads");
  model.key_heads = config.size("num_key_value_heads", model.heads);
  model.head_width = config.size("head_dim", std::max<std::int64_t>(1, model.width / model.heads));
  model.context = config.size("max_position_embeddings");
  model.vocabulary = config.size("vocab_size");
  model.norm_epsilon = config.number("rms_norm_eps");
  read_rope(config, model);
  model.is_tied = config.flag("tie_word_embeddings");
  model.slides = config.flag("use_sliding_window");
  return model;
}

void add_model_keys(gguf::MetadataBuilder& metadata, const HfModel& model, std::string_view architecture) {
  const std::string base = std::string(architecture) + ".";
  metadata.add(base + "vocab_size", u32(model.vocabulary));
  metadata.add(base + "context_length", u32(model.context));
  metadata.add(base + "embedding_length", u32(model.width));
  metadata.add(base + "block_count", u32(model.layers));
  metadata.add(base + "feed_forward_length", u32(model.inner_width));
  metadata.add(base + "attention.head_count", u32(model.heads));
  metadata.add(base + "attention.head_count_kv", u32(model.key_heads));
  metadata.add(base + "attention.key_length", u32(model.head_width));
  metadata.add(base + "attention.value_length", u32(model.head_width));
  metadata.add(base + "attention.layer_norm_rms_epsilon", static_cast<float>(model.norm_epsilon));
  metadata.add(base + "rope.dimension_count", u32(model.head_width));
  metadata.add(base + "rope.freq_base", static_cast<float>(model.rope_base));
  if (model.rope.type != "linear") return;
  metadata.add(base + "rope.scaling.type", "linear");
  metadata.add(base + "rope.scaling.factor", static_cast<float>(model.rope.factor));
}

std::vector<float> rope_divisors(const HfModel& model) {
  const RopeScaling& rope = model.rope;
  if (rope.type != "llama3") return {};
  std::vector<float> divisors;
  const double longest = rope.original_context / rope.low_frequency;    // wavelengths past it are stretched in full,
  const double shortest = rope.original_context / rope.high_frequency;  // those below this not at all
  for (std::int64_t pair = 0; pair < model.head_width / 2; ++pair) {
    const double exponent = 2 * static_cast<double>(pair) / static_cast<double>(model.head_width);
    const double wavelength = 2 * std::numbers::pi * std::pow(model.rope_base, exponent);
    double divisor = 1;
    if (wavelength > longest) divisor = rope.factor;
    if (wavelength >= shortest && wavelength <= longest) {
      const double smooth =
          (rope.original_context / wavelength - rope.low_frequency) / (rope.high_frequency - rope.low_frequency);
      divisor = 1 / ((1 - smooth) / rope.factor + smooth);
    }
    divisors.push_back(static_cast<float>(divisor));
  }
  return divisors;
}

}  // namespace bnq::detail
