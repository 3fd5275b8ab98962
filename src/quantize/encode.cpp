#include "quantize/scheme_row.h"

namespace bnq::detail {
namespace {

CodeRule rule_of(const Encoder& encoder, float factor) {
  return {.factor = factor, .low = encoder.row.min_code, .high = encoder.row.max_code};
}

}  // namespace

void encode_divided(const Encoder& encoder, float factor, const Block& block, std::int8_t* codes) {
  block.divide(rule_of(encoder, factor), codes);
}

void encode_multiplied(const Encoder& encoder, float factor, const Block& block, std::int8_t* codes) {
  block.multiply(rule_of(encoder, factor), codes);
}

}  // namespace bnq::detail
