#include "checkpoint/clients/quantization_config.h"

#include "core/fail.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace bnq::detail {
namespace {

using nlohmann::json;

/// One object of the config, whose settings have the types that their program gives them, or are refused.
class Settings {
 public:
  Settings(std::string where, const json& object) : where_(std::move(where)), object_(object) {
    if (!object.is_object()) refuse("is no object", object);
  }

  [[nodiscard]] std::string text(const char* key) const {
    const json* const value = find(key);
    if (value == nullptr) return {};
    if (!value->is_string()) refuse(quoted(key) + " is no text", *value);
    return value->get<std::string>();
  }

  [[nodiscard]] std::int64_t integer(const char* key, std::int64_t otherwise) const {
    const json* const value = find(key);
    if (value == nullptr) return otherwise;
    const bool fits = value->is_number_unsigned() ? value->get<std::uint64_t>() <= INT32_MAX
                                                  : value->is_number_integer() && value->get<std::int64_t>() >= -1;
    if (!fits) refuse(quoted(key) + " is no count", *value);
    return value->get<std::int64_t>();
  }

  [[nodiscard]] bool flag(const char* key, bool otherwise) const {
    const json* const value = find(key);
    if (value == nullptr) return otherwise;
    if (!value->is_boolean()) refuse(quoted(key) + " is not true or false", *value);
    return value->get<bool>();
  }

  /// Null where the key is absent, or null.
  [[nodiscard]] const json* find(const char* key) const {
    const auto at = object_.find(key);
    return at == object_.end() || at->is_null() ? nullptr : &*at;
  }

  [[nodiscard]] Settings inner(const char* key) const { return {where_ + ", " + quoted(key), object_.at(key)}; }

  [[noreturn]] void refuse(std::string what, const json& got, std::string need = {}) const {
    constexpr std::size_t most = 60;
    std::string text = got.dump(-1, ' ', false, json::error_handler_t::replace);
    if (text.size() > most) text = text.substr(0, most) + "…";
    fail(ErrorKind::bad_content,
         {.where = where_, .what = std::move(what), .got = printable(text), .need = std::move(need)});
  }

  [[nodiscard]] const json& object() const { return object_; }

 private:
  static std::string quoted(const char* key) { return "'" + std::string(key) + "'"; }

  std::string where_;
  const json& object_;
};

/// Of an order there is a flag in older configs.
std::string order_of(const Settings& weights) {
  const json* const order = weights.find("actorder");
  if (order == nullptr || !order->is_boolean()) return weights.text("actorder");
  return order->get<bool>() ? "group" : "";
}

/// As compressed-tensors' QuantizationArgs completes and checks it.
std::string strategy_of(const Settings& weights, std::int64_t group_size) {
  std::string strategy = weights.text("strategy");
  if (strategy.empty()) strategy = group_size > 0 ? "group" : group_size == -1 ? "channel" : "tensor";
  const bool has_groups = strategy == "group" || strategy == "tensor_group";
  if (has_groups != (group_size > 0)) {
    weights.refuse("strategy '" + printable(strategy) + "' contradicts group_size", group_size,
                   "a positive group_size with strategy 'group', and with no other");
  }
  return strategy;
}

WeightGroup group_of(const Settings& group, const std::string& format) {
  const Settings weights = group.inner("weights");
  WeightGroup made{.format = group.text("format"), .order = order_of(weights)};
  if (made.format.empty()) made.format = format;
  if (std::string type = weights.text("type"); !type.empty()) made.type = std::move(type);
  made.num_bits = weights.integer("num_bits", made.num_bits);
  made.is_symmetric = weights.flag("symmetric", made.is_symmetric);
  const std::int64_t group_size = weights.integer("group_size", 0);
  made.strategy = strategy_of(weights, group_size);
  made.group_size = std::max<std::int64_t>(group_size, 0);
  return made;
}

std::vector<std::string> texts_of(const Settings& config, const char* key) {
  const json* const list = config.find(key);
  if (list == nullptr) return {};
  std::vector<std::string> texts;
  const auto is_text = [](const json& each) { return each.is_string(); };
  if (!list->is_array() || !std::ranges::all_of(*list, is_text))
    config.refuse("'" + std::string(key) + "'", *list, "a list of names");
  for (const json& each : *list) texts.push_back(each.get<std::string>());
  return texts;
}

QuantizationConfig parse_bitnet(const Settings& config) {
  return {.linear_class = config.text("linear_class"), .has_input_norms = config.flag("use_rms_norm", false)};
}

QuantizationConfig parse_online(const Settings& config) {
  QuantizationConfig made = parse_bitnet(config);
  made.is_online = true;
  made.not_ternary = texts_of(config, "modules_to_not_convert");
  return made;
}

/// Rotations and sparse forms: the codes are not those of the model's own weights.
std::string unread_of(const Settings& config) {
  if (const json* const transform = config.find("transform_config"); transform != nullptr && !transform->empty()) {
    return "transformed weights (a transform_config)";
  }
  const json* const sparsity = config.find("sparsity_config");
  if (sparsity == nullptr || sparsity->empty()) return {};
  const std::string format = config.inner("sparsity_config").text("format");
  return format == "dense" ? "" : "sparse weights, format '" + printable(format) + "'";
}

QuantizationConfig parse_compressed_tensors(const Settings& config) {
  QuantizationConfig made{.unread = unread_of(config)};
  const std::string format = config.text("format");
  if (config.find("config_groups") == nullptr) return made;
  const Settings groups = config.inner("config_groups");
  for (const auto& [name, group] : groups.object().items()) {
    if (group.is_array()) {  // of targets; the name is that of a preset
      made.unread = "a preset of settings by name, '" + printable(name) + "' (settings written out are read)";
      continue;
    }
    const Settings settings = groups.inner(name.c_str());
    if (settings.find("weights") != nullptr) made.groups.push_back(group_of(settings, format));
  }
  return made;
}

}  // namespace

std::string quant_method_of(const std::string& where, const json& quantization) {
  const Settings config(where, quantization);
  const std::string method = config.text("quant_method");
  if (method == "bitnet" && config.text("quantization_mode") == "online") return {};
  return method.empty() ? "unnamed" : method;
}

QuantizationConfig parse_quantization(const std::string& where, const std::string& method, const json& quantization) {
  const Settings config(where, quantization);
  if (method.empty()) return parse_online(config);
  if (method == "bitnet") return parse_bitnet(config);
  if (method == "compressed-tensors") return parse_compressed_tensors(config);
  return {};
}

}  // namespace bnq::detail
