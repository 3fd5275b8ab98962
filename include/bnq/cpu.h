#pragma once

#include <bnq/export.h>

#include <string>
#include <string_view>
#include <vector>

namespace bnq {

/// Instruction sets that kernels are written for, least first.
enum class Isa { scalar, avx2, avx512vnni };

[[nodiscard]] BNQ_EXPORT std::string_view name(Isa isa);

/// Compiled in and supported by this CPU and operating system, least first. Holds at least `scalar`.
[[nodiscard]] BNQ_EXPORT std::vector<Isa> available_isas();

/// The best one available, or the one that the environment variable BNQ_ISA names.
/// Throws `unsupported` when BNQ_ISA names one that is not available here, `invalid_argument` when it names none.
[[nodiscard]] BNQ_EXPORT Isa active_isa();

/// The processor's own name, or "unknown".
[[nodiscard]] BNQ_EXPORT std::string cpu_name();

/// Instruction-set extensions that matter to quantized kernels and that this CPU and system support, e.g. "avx2".
[[nodiscard]] BNQ_EXPORT std::vector<std::string> cpu_features();

/// Names of the compiled kernels, best first: "gemm_i8_i8/scalar/1x1".
[[nodiscard]] BNQ_EXPORT std::vector<std::string> kernel_names();

/// What becomes of a compiled kernel here.
struct KernelStatus {
  std::string name;
  std::string status;  ///< "ready", or why it is not used: "needs avx2, which this CPU or system lacks"
};

/// Of all compiled kernels, best first. Throws as active_isa() does.
[[nodiscard]] BNQ_EXPORT std::vector<KernelStatus> kernel_statuses();

}  // namespace bnq
