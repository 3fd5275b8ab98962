#include "kernels/registry.h"

#include <array>

namespace bnq {
namespace detail {
namespace {

// Every kernel there is, best first. A new one is a row here and a file in its instruction set's folder.
constexpr std::array<const Kernel*, 1> kernels{&gemm_i8_i8_scalar};

}  // namespace

std::string Kernel::name() const {
  return std::string(op) + "/" + std::string(bnq::name(isa)) + "/" + std::to_string(tile_tokens) + "x" +
         std::to_string(tile_outputs);
}

std::span<const Kernel* const> all_kernels() { return kernels; }

Choice choose_kernel(Isa isa) {
  Choice choice{kernels.back(), {}};
  for (const Kernel* kernel : kernels) {
    if (kernel->isa <= isa) {
      choice.kernel = kernel;
      break;
    }
    choice.passed_over.push_back({kernel, "needs " + std::string(bnq::name(kernel->isa))});
  }
  return choice;
}

}  // namespace detail

std::vector<std::string> kernel_names() {
  std::vector<std::string> names;
  for (const detail::Kernel* kernel : detail::all_kernels()) names.push_back(kernel->name());
  return names;
}

}  // namespace bnq
