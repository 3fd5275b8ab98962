#pragma once

#include <bnq/checkpoint.h>

#include "checkpoint/clients/architecture.h"
#include "checkpoint/clients/model_config.h"

#include <filesystem>
#include <string>

namespace bnq::detail {

/// Files of BitNet's online models hold floats, and the model computes with their ternary codes
/// (transformers/integrations/bitnet.py, AutoBitLinear). Throws `unsupported` where the plan makes another model of
/// them: other codes, codes in a layer that the config leaves as it is, or layers with norms of their own, which go
/// with the config. `architecture` is null where nobody knows it. Does nothing for other models.
void require_same_model(const std::filesystem::path& folder, const ModelConfig& config,
                        const Architecture* architecture, const Plan& plan);

/// An online model's scale is the mean of magnitudes, which of a tensor of -a, 0, +a alone is not a, the scale that bnq
/// keeps. Throws `unsupported` with `where` in front. For a model that is none it does nothing.
void require_same_scale(const std::string& where, const ModelConfig& config);

/// Throws `unsupported` for norms before linear layers, which a model of plain ones does not have.
void require_plain_layers(const std::filesystem::path& folder, const ModelConfig& config);

}  // namespace bnq::detail
