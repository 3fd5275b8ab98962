#pragma once

#include <bnq/checkpoint.h>

#include "checkpoint/clients/architecture.h"
#include "checkpoint/clients/model_config.h"

#include <span>
#include <string>

namespace bnq::detail {

/// The form for a whole folder of a known architecture; `tensors` are all of its.
/// docs/formats/folder.rst says which there are, and what clients compute differently.
[[nodiscard]] ClientForm client_form(const ModelConfig& config, const FolderArchitecture& architecture,
                                     std::span<const ModelTensor> tensors);

/// Why the form of this scheme cannot hold this layer; empty when it can.
[[nodiscard]] std::string client_refusal(const Scheme& scheme, const Shape& shape);

}  // namespace bnq::detail
