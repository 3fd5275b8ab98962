// transformers: loads the folder that bnq writes, whose quantization_config says compressed-tensors or BitNet
// (docs/formats/folder.rst). What a folder as a whole must be stands in checkpoint/clients.

#include "target/target_row.h"

#include <array>

namespace bnq::detail {
namespace {

using Kind = Granularity::Kind;

constexpr std::array layouts{TargetLayout{"i8", 8, 8}, TargetLayout{"u2_hf", 2, 2}, TargetLayout{"i32_ct", 2, 7}};

bool has_form(const Scheme& scheme) {
  const Kind kind = scheme.granularity().kind;
  if (is_ternary(scheme)) return kind == Kind::tensor;
  return scheme.rule().ends_with("-absmax") && (kind == Kind::row || (kind == Kind::group && scheme.code_bits() < 8));
}

std::string refusal(const Scheme& scheme, const Shape& shape) {
  if (!has_form(scheme)) return "no client has a form for " + scheme.to_string();
  if (shape.size() != 2) return "clients quantize two axes only";
  if (is_ternary(scheme) && shape[0] % 4 != 0) {
    return "its " + std::to_string(shape[0]) + " rows are no multiple of 4, as packing into 2 bits needs";
  }
  const Granularity& granularity = scheme.granularity();
  if (granularity.kind == Kind::group && shape[1] % granularity.group_size != 0) {
    return "its depth " + std::to_string(shape[1]) + " is no multiple of the group, " +
           std::to_string(granularity.group_size);
  }
  return {};
}

std::vector<std::string> differences(const Scheme& scheme) {
  if (is_ternary(scheme)) {
    return {"transformers 5.0 to 5.12 unpack BitNet's weights wrongly or stop with an error; 5.13 does not",
            "it computes in the model's dtype and rounds scales to it: in bfloat16 activation codes flip, and outputs "
            "differ by a few percent from float32",
            "without biases the weights become floats in memory; with biases they stay packed, and are slow"};
  }
  if (scheme.code_bits() == 8) {
    return {"activations: int8 of absmax / 127.5 a token, where BitNet has 127: logits differ by about 1 to 4 %",
            "on a CPU the weights become floats in memory: right, not small and not fast"};
  }
  return {"activations stay float: weights only"};
}

}  // namespace

constinit const TargetRow target_transformers{.name = "transformers",
                                              .about = "Hugging Face transformers, plain: a model folder",
                                              .reads = Target::Reads::folder,
                                              .layouts = layouts,
                                              .refusal = refusal,
                                              .differences = differences};

}  // namespace bnq::detail
