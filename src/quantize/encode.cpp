#include "quantize/scheme_row.h"

namespace bnq::detail {
namespace {

CodeRule rule_of(const Encoder& encoder, float factor) {
  return {.factor = factor, .low = encoder.row.min_code, .high = encoder.row.max_code};
}

std::int64_t count_of(std::span<const float> values) { return static_cast<std::int64_t>(values.size()); }

}  // namespace

void encode_divided(const Encoder& encoder, float factor, std::span<const float> values, std::int8_t* codes) {
  encoder.kernels.divide(values.data(), count_of(values), rule_of(encoder, factor), codes);
}

void encode_multiplied(const Encoder& encoder, float factor, std::span<const float> values, std::int8_t* codes) {
  encoder.kernels.multiply(values.data(), count_of(values), rule_of(encoder, factor), codes);
}

}  // namespace bnq::detail
