#pragma once

#include "io/gguf/metadata_builder.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bnq::detail {

/// How far apart positions are, of models whose context was stretched.
struct RopeScaling {
  std::string type = {};  ///< empty: none; "linear", "llama3"
  double factor = 1;
  double low_frequency = 1, high_frequency = 1;  ///< of llama3
  double original_context = 0;
};

/// What a decoder's config.json says of its sizes.
struct HfModel {
  std::string architecture = {};
  std::string activation = {};
  std::int64_t layers = 0;
  std::int64_t width = 0;
  std::int64_t inner_width = 0;
  std::int64_t heads = 0;
  std::int64_t key_heads = 0;
  std::int64_t head_width = 0;
  std::int64_t context = 0;
  std::int64_t vocabulary = 0;
  double norm_epsilon = 0;
  double rope_base = 0;
  RopeScaling rope = {};
  bool is_tied = false;
  bool slides = false;  ///< attention looks at a window only
};

/// Throws `bad_content` with `where` (the file) in front: no JSON object, or a size that is missing, no count, or
/// absurd; `unsupported` for an architecture without a map (model_map.h), and for a scaling of positions that GGUF's
/// architectures have no keys for.
[[nodiscard]] HfModel parse_hf_model(const std::string& where, std::string_view config);

/// The keys of `general.architecture` and below it.
void add_model_keys(gguf::MetadataBuilder& metadata, const HfModel& model, std::string_view architecture);

/// Divisors of the frequencies of llama3's scaling, one a pair: the tensor rope_freqs.weight. Empty without.
[[nodiscard]] std::vector<float> rope_divisors(const HfModel& model);

}  // namespace bnq::detail
