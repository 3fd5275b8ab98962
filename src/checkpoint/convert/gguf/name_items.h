#pragma once

#include "checkpoint/convert/conversion.h"
#include "checkpoint/convert/gguf/hf_model.h"
#include "checkpoint/convert/gguf/model_map.h"

namespace bnq::detail {

/// Of a folder. Throws `unsupported` where there is no config.json.
[[nodiscard]] HfModel model_of(const Source& source);

/// Throws what `name_for_gguf` would throw of this folder's names and shapes, whatever becomes of their values.
void require_gguf_model(const Source& source);

/// Items of a folder get GGUF's names, in the order of the model's layers, and rows of q and k their order; what the
/// model has no use for is left out, and said. Throws `unsupported` for an architecture, an activation, a tensor or a
/// head that GGUF's loaders have no place for; `bad_content` for a tensor that is missing.
[[nodiscard]] const ModelMap& name_for_gguf(Conversion& conversion, const HfModel& model);

/// Of a GGUF file that bnq wrote and that becomes another: warns of programs that take its architecture for another
/// model.
void warn_of_kept_architecture(Conversion& conversion);

}  // namespace bnq::detail
