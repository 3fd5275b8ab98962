#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace bnq::detail {

/// How the weights of some layers are quantized, as a group of compressed-tensors' config says it.
struct WeightGroup {
  std::string format = {};    ///< its own, else the whole folder's; "int-quantized"
  std::string type = "int";   ///< "int", "float"
  std::string strategy = {};  ///< which elements share a scale: "tensor", "channel", "group", …
  std::string order = {};     ///< "group": columns are reordered and a g_idx says how
  std::int64_t num_bits = 8;
  std::int64_t group_size = 0;  ///< columns that share a scale, of strategy "group"
  bool is_symmetric = true;     ///< without zero points
};

/// What the `quantization_config` of a model says of a method that bnq reads; all empty of other methods.
struct QuantizationConfig {
  std::string linear_class = {};              ///< of bitnet
  bool has_input_norms = false;               ///< of bitnet: a norm of its own before each linear layer
  bool is_online = false;                     ///< of bitnet: floats, which become ternary as the model runs
  std::vector<std::string> not_ternary = {};  ///< of online models: modules that stay as they are
  std::vector<WeightGroup> groups = {};
  std::string unread = {};  ///< what was done to the weights besides, which bnq does not undo; else empty
};

/// The method of an object under `quantization_config`: "unnamed" when it has none; empty of BitNet's "online" models,
/// whose files hold floats. Throws `bad_content` when it is no text.
[[nodiscard]] std::string quant_method_of(const std::string& where, const nlohmann::json& quantization);

/// `method` is what `quant_method_of` says. Throws `bad_content` with `where` (the file) in front: a setting of another
/// type than its own, or groups that contradict themselves. A default is taken only where the method's own reader takes
/// it, too.
[[nodiscard]] QuantizationConfig parse_quantization(const std::string& where, const std::string& method,
                                                    const nlohmann::json& quantization);

}  // namespace bnq::detail
