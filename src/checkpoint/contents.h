#pragma once

#include "io/file_form.h"
#include "io/source.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace bnq::detail {

/// What a file or folder holds as its user sees it: quantized tensors (each of several entries) and plain ones.
struct Contents {
  std::vector<FileForm> quantized;  ///< by name
  std::map<std::string, safetensors::Entry> plain;
  std::string version;  ///< of the bnq that wrote it; empty for a foreign file

  [[nodiscard]] const FileForm* find_quantized(const std::string& name) const;
};

/// Throws `bad_content` when the bnq entry of the metadata is broken, a part of a tensor is missing or does not fit, or
/// two tensors claim one name.
[[nodiscard]] Contents contents_of(const Source& source);

/// Throws `bad_content` naming tensor and cure when the file already holds low-bit tensors, of bnq or of others.
void require_not_packed(const Source& source, const Contents& contents);

/// Throws `invalid_argument` when both are one file or folder, also through links, or `out` is a folder around `in`.
void require_other_file(const std::filesystem::path& in, const std::filesystem::path& out);

}  // namespace bnq::detail
