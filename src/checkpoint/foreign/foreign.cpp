#include "checkpoint/foreign/foreign.h"

#include "core/fail.h"
#include "io/system_call.h"

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

Foreign read_foreign(const Source& source, const ModelConfig& config, ScaleConvention convention) {
  Foreign foreign;
  if (config.quant_method == "compressed-tensors") {
    foreign = read_compressed_tensors(source, config);
  } else if (config.quant_method == "bitnet") {
    foreign = read_transformers_bitnet(source, config, convention);
  } else {
    foreign.maker = printable(config.quant_method);
    foreign.unread = "quant_method '" + foreign.maker + "' (compressed-tensors and bitnet are read)";
  }
  if (!foreign.unread.empty()) return foreign;
  for (const FileForm& form : foreign.forms) require_parts(source.shard_of(form.codes_name()), form);
  if (!foreign.forms.empty()) return foreign;
  fail(ErrorKind::bad_content, {.where = text_of(source.path() / config_name),
                                .what = "says that the model is quantized, and no tensor is",
                                .got = "quant_method '" + printable(config.quant_method) + "'"});
}

}  // namespace bnq::detail
