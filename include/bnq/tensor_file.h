#pragma once

#include <bnq/export.h>
#include <bnq/layout.h>
#include <bnq/quantized_tensor.h>
#include <bnq/tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace bnq {

/// A named tensor of a file: low-bit, or plain.
using StoredTensor = std::variant<QuantizedTensor, Tensor>;

/// What `weight_scale` of a BitNet folder of another program is: the scale that multiplies codes, or its reciprocal.
enum class ScaleConvention : std::uint8_t {
  as_stated,  ///< config.json says so, or the values leave no doubt; otherwise an error asks for one of the others
  multiply,
  inverse,
};

/// "multiply" or "inverse"; empty is as_stated. Throws `invalid_argument` for anything else.
[[nodiscard]] BNQ_EXPORT ScaleConvention parse_scale_convention(std::string_view text);

/// Writes tensors to one safetensors file, each quantized one in the file form of its scheme (docs/formats), with the
/// `bnq` metadata entry that says what they are. The same tensors give the same bytes.
///
/// Throws `exists` unless `replace`; `unsupported` when no layout holds a tensor; `io`.
BNQ_EXPORT void save(const std::filesystem::path& path, const std::map<std::string, StoredTensor>& tensors,
                     bool replace = false);

/// Reads them back, also from a GGUF file, under its own names, or from a model folder, of bnq or of another program
/// (compressed-tensors, BitNet in transformers; docs/formats/folder.rst). A safetensors file without the `bnq` entry
/// gives plain tensors only. `gguf_types` say what the types of a GGUF file mean where it does not: "i2_s", "i2_s_arm"
/// or "i2_s_1x4", the order of codes; "q2_0", "pq2_0" or "stq1_0", the type 42. An error asks for them. Throws `io`, or
/// `bad_content` naming file and tensor when the entry and the tensors disagree.
[[nodiscard]] BNQ_EXPORT std::map<std::string, StoredTensor> load(
    const std::filesystem::path& path, ScaleConvention convention = ScaleConvention::as_stated,
    const std::vector<std::string>& gguf_types = {});

}  // namespace bnq
