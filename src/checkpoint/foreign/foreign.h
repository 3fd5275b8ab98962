#pragma once

#include <bnq/tensor_file.h>

#include "checkpoint/clients/model_config.h"
#include "io/file_form.h"
#include "io/source.h"

#include <string>
#include <vector>

namespace bnq::detail {

/// What a folder that another program quantized holds.
struct Foreign {
  std::string maker;                 ///< "compressed-tensors pack-quantized"
  std::vector<FileForm> forms = {};  ///< of its quantized tensors
  std::string unread = {};           ///< why bnq does not read them, and `forms` is empty; else empty
};

/// Is this entry, by its name and dtype, codes with scales beside them?
[[nodiscard]] bool looks_packed(const Source& source, const safetensors::Entry& entry);

/// Throws `bad_content`: a part that is missing or does not fit, or a convention that neither config nor values settle.
/// Looks at headers, at stated shapes, and at the one scale of BitNet's tensors.
[[nodiscard]] Foreign read_foreign(const Source& source, const ModelConfig& config, ScaleConvention convention);

// One row a quant_method, one file each. docs/formats/folder.rst says what each holds.
Foreign read_compressed_tensors(const Source& source, const ModelConfig& config);
Foreign read_transformers_bitnet(const Source& source, const ModelConfig& config, ScaleConvention convention);

/// Packed tensors of a GGUF file, by the names that they have there. `unread` names a type that is no layout of bnq;
/// `forms` has the others then. Throws `bad_content` for i2_s whose order nobody said.
Foreign read_gguf(const Source& source);

/// The scales of codes `name` ("X.weight"); throws `bad_content` when there are none.
[[nodiscard]] const safetensors::Entry& scales_of(const Source& source, const std::string& name);

/// Of the floats that were quantized: the config says it, or the scales have it.
[[nodiscard]] inline DType original_dtype(const ModelConfig& config, const safetensors::Entry& scales) {
  return config.dtype.value_or(scales.dtype);
}

}  // namespace bnq::detail
