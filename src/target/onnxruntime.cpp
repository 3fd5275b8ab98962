// ONNX Runtime: the operator com.microsoft.MatMulNBits, of a graph that bnq does not write.

#include "target/target_row.h"

#include <array>

namespace bnq::detail {
namespace {

constexpr std::array layouts{TargetLayout{"u2_ort", 1, 2}, TargetLayout{"u4_ort", 3, 4}, TargetLayout{"u8_ort", 5, 8}};

std::string refusal(const Scheme& /*scheme*/, const Shape& shape) { return axes_refusal(shape); }

std::vector<std::string> differences(const Scheme& scheme) {
  std::vector<std::string> said{
      "activations stay float, or with accuracy_level 4 become int8 by block, where BitNet has one scale a token"};
  if (scheme.code_bits() <= 2) said.emplace_back("2 bits are unpacked to floats on many CPUs and versions: slow");
  return said;
}

}  // namespace

constinit const TargetRow target_onnxruntime{.name = "onnxruntime",
                                             .about = "ONNX Runtime: the weights of MatMulNBits, in Python",
                                             .reads = Target::Reads::operands,
                                             .layouts = layouts,
                                             .refusal = refusal,
                                             .differences = differences};

}  // namespace bnq::detail
