#pragma once

#include "checkpoint/convert/conversion.h"

#include <filesystem>

namespace bnq::detail {

/// Writes a GGUF file: of a model folder under GGUF's names, with what its config and tokenizer say, or of another GGUF
/// file. Before any work throws `unsupported` for what GGUF or the architecture has no place for, naming it;
/// `bad_content` for a folder that lacks a part of its model.
void write_gguf(Conversion& conversion, const std::filesystem::path& out);

/// Items of a GGUF file get Hugging Face's names, and the rows of q and k its order; with `keep_names` they stay as
/// they are. Throws `unsupported` for an architecture, or a tensor in it, that has no such name.
void name_as_hugging_face(Conversion& conversion);

}  // namespace bnq::detail
