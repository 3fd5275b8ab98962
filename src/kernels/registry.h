#pragma once

#include "kernels/kernel.h"

#include <span>
#include <string>
#include <vector>

namespace bnq::detail {

/// Every kernel compiled in, best first. The last one runs anywhere.
[[nodiscard]] std::span<const Kernel* const> all_kernels();

/// A kernel that was not taken, and why.
struct PassedOver {
  const Kernel* kernel;
  std::string why;
};

struct Choice {
  const Kernel* kernel;
  std::vector<PassedOver> passed_over;  ///< the better ones
};

/// The best kernel for `isa`.
[[nodiscard]] Choice choose_kernel(Isa isa);

}  // namespace bnq::detail
