#pragma once

#include <bnq/export.h>
#include <bnq/layout.h>
#include <bnq/quantized_tensor.h>
#include <bnq/tensor.h>

#include <filesystem>
#include <map>
#include <string>
#include <variant>

namespace bnq {

/// A named tensor of a file: low-bit, or plain.
using StoredTensor = std::variant<QuantizedTensor, Tensor>;

/// Writes tensors to one safetensors file, each quantized one in the file form of its scheme (docs/formats), with the
/// `bnq` metadata entry that says what they are. The same tensors give the same bytes.
///
/// Throws `exists` unless `replace`; `unsupported` when no layout holds a tensor; `io`.
BNQ_EXPORT void save(const std::filesystem::path& path, const std::map<std::string, StoredTensor>& tensors,
                     bool replace = false);

/// Reads them back. A file without the `bnq` entry gives plain tensors only.
/// Throws `io`, or `bad_content` naming file and tensor when the entry and the tensors disagree.
[[nodiscard]] BNQ_EXPORT std::map<std::string, StoredTensor> load(const std::filesystem::path& path);

}  // namespace bnq
