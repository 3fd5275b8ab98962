#pragma once

#include <bnq/checkpoint.h>

#include "io/file_form.h"

#include <string>
#include <vector>

namespace bnq::detail {

/// Key of the safetensors metadata under which bnq says what a file holds (docs/formats/safetensors.rst).
inline constexpr const char* metadata_key = "bnq";

/// Key under which a file of floats says that bnq made them of codes.
inline constexpr const char* dequantized_key = "dequantized_by";

/// The metadata of a file with these tensors: `inherited` (from the input, or empty), and the bnq entry.
/// `options` is what the user asked for, or null when the file was not made by quantizing another.
[[nodiscard]] safetensors::Metadata metadata_of(safetensors::Metadata inherited, const std::vector<FileForm>& forms,
                                                const QuantizeOptions* options);

/// What the bnq entry of a file states.
struct Stated {
  std::string version;  ///< of the bnq that wrote it; empty when the file has no entry
  std::vector<FileForm> forms;
};

/// Throws `bad_content` when the entry is broken, contradicts itself, or is of a later form than this bnq knows.
[[nodiscard]] Stated read_metadata(const safetensors::Reader& reader);

}  // namespace bnq::detail
