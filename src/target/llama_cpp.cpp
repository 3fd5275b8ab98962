// llama.cpp, as upstream has it: GGUF files of its own block types (docs/formats/gguf.rst says what was run).

#include "target/target_row.h"

#include <array>

namespace bnq::detail {
namespace {

// q2_0 and q4_0 also hold what came out of files with them, whose schemes are a bit wider (LayoutRow::ggml).
constexpr std::array layouts{TargetLayout{"tq2_0", 1, 2}, TargetLayout{"q2_0", 1, 3}, TargetLayout{"q4_0", 3, 5},
                             TargetLayout{"q8_0", 5, 8}};

std::string refusal(const Scheme& /*scheme*/, const Shape& shape) { return axes_refusal(shape); }

std::vector<std::string> differences(const Scheme& scheme) {
  std::vector<std::string> said{"scales are rounded to float16",
                                "activations: int8 by blocks of " +
                                    std::string(scheme.code_bits() > 2 ? "32" : "256 (tq2_0) or 32 (q2_0)") +
                                    " along the depth, where BitNet has one scale a token: logits differ by 2 to 5 %"};
  if (is_ternary(scheme)) {
    said.emplace_back(
        "architecture bitnet is computed with SiLU where BitNet needs squared ReLU (still so in its v0.5.0): a "
        "BitNetForCausalLM answers nonsense");
  }
  return said;
}

}  // namespace

constinit const TargetRow target_llama_cpp{.name = "llama.cpp",
                                           .about = "llama.cpp: a GGUF file of tq2_0, q2_0, q4_0 or q8_0",
                                           .reads = Target::Reads::gguf,
                                           .layouts = layouts,
                                           .refusal = refusal,
                                           .differences = differences};

}  // namespace bnq::detail
