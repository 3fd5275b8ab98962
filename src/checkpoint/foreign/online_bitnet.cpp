#include "checkpoint/foreign/online_bitnet.h"

#include "core/fail.h"
#include "io/file_form.h"
#include "io/folder/model_folder.h"
#include "io/system_call.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace bnq::detail {
namespace {

constexpr const char* floats_alone = "if the floats alone are the model, take quantization_config out of config.json";

/// Is the module, or one around it, named? By the start of its name up to a dot, or by its end (should_convert_module
/// of transformers, which also takes regular expressions: a name with more than letters and dots names nothing here).
bool names(std::string_view entry, std::string_view module) {
  if (module.ends_with(entry)) return true;
  if (!module.starts_with(entry)) return false;
  return entry.ends_with('.') || module.substr(entry.size()).starts_with('.');
}

void require_followed(const std::string& where, const std::vector<std::string>& not_ternary) {
  const auto is_pattern = [](const std::string& entry) {
    return entry.empty() || entry.find_first_of("*+?[](){}|^$\\") != std::string::npos;
  };
  const auto at = std::ranges::find_if(not_ternary, is_pattern);
  if (at == not_ternary.end()) return;
  fail(ErrorKind::unsupported, {.where = where,
                                .what = "'modules_to_not_convert' holds a pattern",
                                .got = "'" + printable(*at) + "'",
                                .need = "names of modules"});
}

}  // namespace

void require_plain_layers(const std::filesystem::path& folder, const ModelConfig& config) {
  if (!config.quantization.has_input_norms) return;
  fail(ErrorKind::unsupported,
       {.where = text_of(folder / config_name),
        .what = "its linear layers have norms of their own, which other forms of linear layers have not",
        .got = "use_rms_norm true"});
}

void require_same_scale(const std::string& where, const ModelConfig& config) {
  if (!config.quantization.is_online) return;
  fail(ErrorKind::unsupported, {.where = where,
                                .what = "holds -a, 0, +a alone, and config.json says that the model computes with "
                                        "ternary codes of its floats ('online'): their mean magnitude is not a",
                                .cure = floats_alone});
}

void require_same_model(const std::filesystem::path& folder, const ModelConfig& config,
                        const Architecture* architecture, const Plan& plan) {
  const QuantizationConfig& online = config.quantization;
  if (!online.is_online) return;
  require_plain_layers(folder, config);
  require_followed(text_of(folder / config_name), online.not_ternary);
  const Scheme ternary = Scheme::parse("ternary");
  for (const PlannedTensor& tensor : plan.tensors) {
    if (!tensor.scheme) continue;
    if (architecture != nullptr && role_of(*architecture, tensor.name) != Role::linear) continue;
    const std::string_view module = module_of(tensor.name);
    const auto named = [&](const std::string& entry) { return names(entry, module); };
    if (std::ranges::any_of(online.not_ternary, named)) {
      fail(ErrorKind::unsupported, {.where = in_file(folder, tensor.name),
                                    .what = "config.json leaves this layer as it is ('modules_to_not_convert')",
                                    .got = tensor.scheme->to_string(),
                                    .cure = "keep it (--keep); " + std::string(floats_alone)});
    }
    if (*tensor.scheme == ternary) continue;
    fail(ErrorKind::unsupported,
         {.where = in_file(folder, tensor.name),
          .what = "config.json says that the model computes with ternary codes of these floats ('online')",
          .got = tensor.scheme->to_string(),
          .need = ternary.to_string(),
          .cure = floats_alone});
  }
}

}  // namespace bnq::detail
