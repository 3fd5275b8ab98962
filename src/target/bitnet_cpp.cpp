// bitnet.cpp: GGUF files with I2_S, one float32 scale a tensor.

#include "target/target_row.h"

#include <array>

namespace bnq::detail {
namespace {

constexpr std::array layouts{TargetLayout{"i2_s", 1, 2}};

std::string refusal(const Scheme& /*scheme*/, const Shape& shape) { return axes_refusal(shape); }

std::vector<std::string> differences(const Scheme& /*scheme*/) {
  return {"built for ARM it reads the codes in another order, and answers nonsense",
          "since July 2026 it computes SiLU where BitNet needs squared ReLU: take an earlier one for a "
          "BitNetForCausalLM"};
}

}  // namespace

constinit const TargetRow target_bitnet_cpp{.name = "bitnet.cpp",
                                            .about = "Microsoft's bitnet.cpp on x86: a GGUF file of i2_s",
                                            .reads = Target::Reads::gguf,
                                            .layouts = layouts,
                                            .refusal = refusal,
                                            .differences = differences};

}  // namespace bnq::detail
