#pragma once

#include "kernels/kernel.h"

#include <span>
#include <string>
#include <vector>

namespace bnq::detail {

/// Every kernel compiled in, best first. The last one runs anywhere.
[[nodiscard]] std::span<const Kernel* const> all_kernels();

/// Element-wise kernels of `isa`, or of the best instruction set below it that has them.
[[nodiscard]] const RowKernels& row_kernels(Isa isa);

/// Probes of `isa`, found in the same way.
[[nodiscard]] const RoofProbes& roof_probes(Isa isa);

/// A kernel that was not taken, and why.
struct PassedOver {
  const Kernel* kernel;
  std::string why;
};

struct Choice {
  const Kernel* kernel;
  std::vector<PassedOver> passed_over;  ///< the better ones
};

/// The best kernel for a layer on `isa`.
[[nodiscard]] Choice choose_kernel(Isa isa, const GemmProblem& problem);

}  // namespace bnq::detail
