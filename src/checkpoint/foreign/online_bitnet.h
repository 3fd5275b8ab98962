#pragma once

#include <bnq/checkpoint.h>

#include "checkpoint/clients/architecture.h"
#include "checkpoint/clients/model_config.h"

#include <filesystem>

namespace bnq::detail {

/// Files of BitNet's online models hold floats, and the model computes with their ternary codes
/// (transformers/integrations/bitnet.py, AutoBitLinear). Throws `unsupported` where the plan makes another model of
/// them: other codes, codes in a layer that the config leaves as it is, or layers with norms of their own, which go
/// with the config. `architecture` is null where nobody knows it. Does nothing for other models.
void require_same_model(const std::filesystem::path& folder, const ModelConfig& config,
                        const Architecture* architecture, const Plan& plan);

/// Throws `unsupported` for norms before linear layers, which a model of plain ones does not have.
void require_plain_layers(const std::filesystem::path& folder, const ModelConfig& config);

}  // namespace bnq::detail
