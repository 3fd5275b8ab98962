#include "kernels/registry.h"

#include <algorithm>
#include <array>
#include <utility>

namespace bnq {
namespace detail {
namespace {

// Every kernel there is, best first. A new one is a row here and a file in its instruction set's folder.
constexpr auto kernels = std::to_array<const Kernel*>({
#if defined(BNQ_X86_KERNELS)
  &gemm_i8_t2_avx512vnni, &gemm_i8_t8_avx512vnni, &gemm_i8_t2_avx2, &gemm_i8_t8_avx2,
#endif
      &gemm_i8_i8_scalar,
});

constexpr auto rows = std::to_array<const RowKernels*>({
#if defined(BNQ_X86_KERNELS)
  &rows_avx512vnni, &rows_avx2,
#endif
      &rows_scalar,
});

}  // namespace

std::string Kernel::name() const {
  return std::string(op) + "/" + std::string(bnq::name(isa)) + "/" + std::to_string(tile_tokens) + "x" +
         std::to_string(tile_outputs);
}

std::span<const Kernel* const> all_kernels() { return kernels; }

const RowKernels& row_kernels(Isa isa) {
  const auto* const best = std::ranges::find_if(rows, [&](const RowKernels* r) { return r->isa <= isa; });
  return **best;
}

Choice choose_kernel(Isa isa, const GemmProblem& problem) {
  Choice choice{kernels.back(), {}};
  for (const Kernel* kernel : kernels) {
    const char* const refusal = kernel->refusal(problem);
    if (kernel->isa <= isa && refusal == nullptr) {
      choice.kernel = kernel;
      break;
    }
    std::string why = refusal != nullptr ? refusal : "needs " + std::string(bnq::name(kernel->isa));
    choice.passed_over.push_back({kernel, std::move(why)});
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
