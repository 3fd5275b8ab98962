#pragma once

#include "io/folder/model_folder.h"
#include "io/gguf/metadata_builder.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bnq::detail {

/// The tokenizer.ggml keys of a folder's tokenizer.json: byte-level BPE of `vocabulary` tokens; with `pre` in place of
/// the pre-tokenizer's name that its pattern tells, where that is given. Returns warnings: no tokenizer, one of another
/// kind (left out, whole), a pattern that bnq does not know. Throws `bad_content` naming a file that is broken.
[[nodiscard]] std::vector<std::string> add_tokenizer(gguf::MetadataBuilder& metadata, const ModelFolder& folder,
                                                     std::int64_t vocabulary, const std::string& pre);

}  // namespace bnq::detail
