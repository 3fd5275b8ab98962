#include "checkpoint/foreign/foreign.h"

#include "core/fail.h"
#include "io/system_call.h"

#include <algorithm>
#include <array>
#include <unordered_set>

namespace bnq::detail {

using safetensors::Entry;

bool looks_packed(const Source& source, const Entry& entry) {
  constexpr std::string_view packed = "_packed";
  const bool bytes = entry.dtype == DType::i8 || entry.dtype == DType::u8;
  if (bytes && source.find(entry.name + "_scale") != nullptr) return true;
  if (entry.dtype != DType::i32 || !entry.name.ends_with(packed)) return false;
  const std::string name = entry.name.substr(0, entry.name.size() - packed.size());
  return source.find(name + "_scale") != nullptr;
}

const Entry& scales_of(const Source& source, const std::string& name) {
  const Entry* const scales = source.find(name + "_scale");
  if (scales != nullptr && is_quantizable(scales->dtype)) return *scales;
  fail(ErrorKind::bad_content, {.where = in_file(source.path(), name),
                                .what = "holds codes without scales",
                                .got = scales == nullptr ? "no '" + printable(name) + "_scale'"
                                                         : "scales in " + std::string(bnq::name(scales->dtype)),
                                .need = "'" + printable(name) + "_scale' in f32, f16 or bf16"});
}

namespace {

/// A part of a quantized tensor that belongs to none: whoever takes it for a weight computes nonsense.
void require_no_stray_parts(const Source& source, const std::vector<FileForm>& forms) {
  constexpr std::array<std::string_view, 6> endings{"weight_packed",     "weight_scale", "weight_shape",
                                                    "weight_zero_point", "weight_g_idx", "weight_global_scale"};
  constexpr std::array code_dtypes{DType::i8, DType::u8, DType::i16, DType::u16, DType::i32, DType::u32};
  std::unordered_set<std::string> taken;
  for (const FileForm& form : forms) {
    for (const Entry& part : form.parts()) taken.insert(part.name);
  }
  for (const Entry& entry : source.tensors()) {
    if (taken.contains(entry.name)) continue;
    const auto ends_so = [&](std::string_view ending) { return entry.name.ends_with(ending); };
    const bool is_part = std::ranges::any_of(endings, ends_so);
    const bool is_codes = entry.shape.size() > 1 && std::ranges::find(code_dtypes, entry.dtype) != code_dtypes.end();
    if (!is_part && !is_codes) continue;
    fail(ErrorKind::bad_content,
         {.where = in_file(source.file_of(entry.name), entry.name),
          .what = is_part ? "is a part of a quantized tensor whose other parts do not fit, or are missing"
                          : "holds integers that are no codes as the config says, or lack their scales",
          .got = std::string(name(entry.dtype)) + " " + to_string(entry.shape),
          .cure = "get the file anew, or mend its config.json"});
  }
}

}  // namespace

Foreign read_foreign(const Source& source, const ModelConfig& config, ScaleConvention convention) {
  Foreign foreign;
  if (config.quant_method == "compressed-tensors") {
    foreign = read_compressed_tensors(source, config);
  } else if (config.quant_method == "bitnet" && config.quantization.unread.empty()) {
    foreign = read_transformers_bitnet(source, config, convention);
  } else {
    foreign.maker = printable(config.quant_method);
    foreign.unread = config.quantization.unread;
    if (foreign.unread.empty()) {
      foreign.unread = "quant_method '" + foreign.maker + "' (compressed-tensors and bitnet are read)";
    }
  }
  if (!foreign.unread.empty()) return foreign;
  for (const FileForm& form : foreign.forms) require_parts(source, form);
  require_no_stray_parts(source, foreign.forms);
  if (!foreign.forms.empty()) return foreign;
  fail(ErrorKind::bad_content, {.where = text_of(source.path() / config_name),
                                .what = "says that the model is quantized, and no tensor is",
                                .got = "quant_method '" + printable(config.quant_method) + "'"});
}

}  // namespace bnq::detail
