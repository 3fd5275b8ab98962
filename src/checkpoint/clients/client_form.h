#pragma once

#include <bnq/scheme.h>
#include <bnq/tensor.h>

#include "checkpoint/clients/architecture.h"
#include "checkpoint/clients/model_config.h"

#include <optional>
#include <span>
#include <string>

namespace bnq::detail {

/// A tensor of a folder, as far as its client cares.
struct ClientTensor {
  std::string name;
  Role role;
  Shape shape;
  std::optional<Scheme> scheme;  ///< empty: kept
  bool has_bias;                 ///< a tensor MODULE.bias stands beside it
};

/// How a folder tells its client, plain transformers, what it holds.
struct ClientForm {
  std::string name = {};                 ///< "compressed-tensors int-quantized"; empty: bnq only
  std::string why_bnq_only = {};         ///< empty when a client loads the folder
  std::string quantization_config = {};  ///< JSON
  bool inverse_scales = false;           ///< the file holds 1 / scale
};

/// The form for a whole folder of a known architecture; `tensors` are all of its.
/// docs/formats/folder.rst says which there are, and what clients compute differently.
[[nodiscard]] ClientForm client_form(const ModelConfig& config, const FolderArchitecture& architecture,
                                     std::span<const ClientTensor> tensors);

/// Why the form of this scheme cannot hold this layer; empty when it can.
[[nodiscard]] std::string client_refusal(const Scheme& scheme, const Shape& shape);

}  // namespace bnq::detail
