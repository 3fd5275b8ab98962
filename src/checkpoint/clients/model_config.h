#pragma once

#include <bnq/dtype.h>

#include "checkpoint/clients/quantization_config.h"

#include <optional>
#include <string>
#include <string_view>

namespace bnq::detail {

/// What bnq reads of a config.json.
struct ModelConfig {
  std::string architecture = {};    ///< the first of `architectures`; empty when there is none
  bool is_tied = false;             ///< `tie_word_embeddings`
  bool may_be_tied = true;          ///< true also when the config does not say: many a class is tied by itself
  std::string weights = {};         ///< `transformers_weights`: the file to read instead of the usual; else empty
  std::string quant_method = {};    ///< of a model that is quantized already, else empty
  std::optional<DType> dtype = {};  ///< `dtype` or `torch_dtype`, when it is one that bnq quantizes
  QuantizationConfig quantization = {};
};

/// Throws `bad_content` with `where` (the file) in front when it is no JSON object, repeats a key, or says of its
/// quantization what it cannot (`parse_quantization`). Other keys of another type than expected are as good as absent:
/// they are other programs'.
[[nodiscard]] ModelConfig parse_model_config(const std::string& where, std::string_view text);

/// The config, one that `parse_model_config` reads, with this `quantization_config` (JSON text); all else byte for
/// byte.
[[nodiscard]] std::string with_quantization(std::string_view config, const std::string& quantization);

/// The config without one, and without the older `compression_config`.
[[nodiscard]] std::string without_quantization(std::string_view config);

}  // namespace bnq::detail
