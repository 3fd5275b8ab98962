#pragma once

#include <bnq/tensor_file.h>

#include "checkpoint/clients/model_config.h"
#include "io/file_form.h"
#include "io/source.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace bnq::detail {

/// What a file or folder holds as its user sees it: quantized tensors (each of several entries) and plain ones.
struct Contents {
  ModelConfig model;                ///< of a folder
  std::vector<FileForm> quantized;  ///< by name
  bool is_foreign = false;          ///< another program made them
  std::string unread;  ///< why bnq does not read those of another program, which are plain then; else empty
  std::map<std::string, safetensors::Entry> plain;
  std::string maker;  ///< "bnq 0.1.0", "compressed-tensors pack-quantized"; empty for a float file

  [[nodiscard]] const FileForm* find_quantized(const std::string& name) const;
};

/// What the config of a folder says; nothing for a file. Throws `bad_content` when it is broken.
[[nodiscard]] ModelConfig config_of(const Source& source);

/// Throws `bad_content` when the bnq entry of the metadata is broken, a part of a tensor is missing or does not fit, or
/// two tensors claim one name; of a folder that another program quantized as `read_foreign` does.
[[nodiscard]] Contents contents_of(const Source& source, ScaleConvention convention = ScaleConvention::as_stated);

/// Throws `bad_content` when another program quantized it in a form that bnq does not read.
void require_readable(const Source& source, const Contents& contents);

/// Throws `bad_content` naming tensor and cure when the source already holds low-bit tensors, of bnq or of others.
void require_not_packed(const Source& source, const ModelConfig& config);

/// Throws `invalid_argument` when both are one file or folder, also through links, or `out` is a folder around `in`.
void require_other_file(const std::filesystem::path& in, const std::filesystem::path& out);

/// Throws `invalid_argument` when `file`, which is `what` ("the plan"), is `model` or lies in it, also through links.
void require_beside(const std::filesystem::path& file, const std::filesystem::path& model, const char* what);

}  // namespace bnq::detail
