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
  &gemm_i8_u2_hf_avx512vnni, &gemm_i8_t2_avx512vnni, &gemm_i8_i8_avx512vnni, &gemm_i8_t8_avx512vnni, &gemm_i8_t2_avx2,
      &gemm_i8_t8_avx2,
#endif
      &gemm_i8_i8_scalar,
});

constexpr auto rows = std::to_array<const RowKernels*>({
#if defined(BNQ_X86_KERNELS)
  &rows_avx512vnni, &rows_avx2,
#endif
      &rows_scalar,
});

constexpr auto probes = std::to_array<const RoofProbes*>({
#if defined(BNQ_X86_KERNELS)
  &roofs_avx512vnni, &roofs_avx2,
#endif
      &roofs_scalar,
});

/// The best entry of a table that `isa` can run; the last one runs anywhere.
template <typename Table>
const auto& best_of(const Table& table, Isa isa) {
  return **std::ranges::find_if(table, [&](const auto* entry) { return entry->isa <= isa; });
}

}  // namespace

std::string Kernel::name() const {
  return std::string(op) + "/" + std::string(bnq::name(isa)) + "/" + std::to_string(tile_tokens) + "x" +
         std::to_string(tile_outputs);
}

std::span<const Kernel* const> all_kernels() { return kernels; }

const RowKernels& row_kernels(Isa isa) { return best_of(rows, isa); }

const RoofProbes& roof_probes(Isa isa) { return best_of(probes, isa); }

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

std::vector<KernelStatus> kernel_statuses() {
  const Isa active = active_isa();
  const Isa best = available_isas().back();
  std::vector<KernelStatus> statuses;
  for (const detail::Kernel* kernel : detail::all_kernels()) {
    const std::string needs = "needs " + std::string(name(kernel->isa));
    const bool lacks = kernel->isa > best;
    const bool ready = kernel->isa <= active;
    statuses.push_back({kernel->name(), ready   ? "ready"
                                        : lacks ? needs + ", which this CPU or system lacks"
                                                : needs + ", and BNQ_ISA chose " + std::string(name(active))});
  }
  return statuses;
}

}  // namespace bnq
