#include <bnq/cpu.h>

#include "core/fail.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace bnq {
namespace {

struct IsaRow {
  Isa isa;
  std::string_view name;
  std::vector<std::string_view> needs;  ///< names of cpu_features()
};

// In the order of the enumerators. What each folder of kernels is compiled for (cmake/bnq_kernels.cmake) stands here
// too.
const std::array<IsaRow, 3>& isas() {
  static const std::array<IsaRow, 3> rows{{
      {Isa::scalar, "scalar", {}},
      {Isa::avx2, "avx2", {"avx2", "f16c"}},
      {Isa::avx512vnni, "avx512vnni", {"avx2", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512vnni"}},
  }};
  return rows;
}

bool is_compiled_in(Isa isa) {
#if defined(BNQ_X86_KERNELS)
  return isa <= Isa::avx512vnni;
#else
  return isa == Isa::scalar;
#endif
}

std::string isa_names() {
  std::string text;
  for (const IsaRow& row : isas()) text += (text.empty() ? "" : ", ") + std::string(row.name);
  return text;
}

#if defined(__x86_64__)
/// g++ 12 cannot be asked for it by name. F16C needs the system to keep AVX registers, which "avx" implies.
bool has_f16c() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  constexpr unsigned f16c_bit = 1U << 29U;
  return __builtin_cpu_supports("avx") && __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & f16c_bit) != 0;
}
#endif

Isa isa_of_environment(const std::string& text) {
  const auto* const row = std::ranges::find_if(isas(), [&](const IsaRow& r) { return r.name == text; });
  if (row == isas().end()) {
    detail::fail(ErrorKind::invalid_argument, {.where = "BNQ_ISA",
                                               .what = "unknown instruction set",
                                               .got = "'" + detail::printable(text) + "'",
                                               .need = "one of " + isa_names()});
  }
  std::string names;
  for (const Isa isa : available_isas()) {
    if (isa == row->isa) return isa;
    names += (names.empty() ? "" : ", ") + std::string(name(isa));
  }
  detail::fail(ErrorKind::unsupported, {.where = "BNQ_ISA",
                                        .what = "this CPU or system does not have the instruction set",
                                        .got = "'" + text + "'",
                                        .need = "one of " + names,
                                        .cure = "or unset BNQ_ISA"});
}

}  // namespace

std::string_view name(Isa isa) { return isas()[static_cast<std::size_t>(isa)].name; }

std::vector<Isa> available_isas() {
  const std::vector<std::string> features = cpu_features();
  const auto has = [&](std::string_view need) { return std::ranges::find(features, need) != features.end(); };
  std::vector<Isa> available;
  for (const IsaRow& row : isas()) {
    if (is_compiled_in(row.isa) && std::ranges::all_of(row.needs, has)) available.push_back(row.isa);
  }
  return available;
}

Isa active_isa() {
  const char* text = std::getenv("BNQ_ISA");
  if (text != nullptr && *text != '\0') return isa_of_environment(text);
  static const Isa best = available_isas().back();  // a CPU does not change
  return best;
}

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

std::vector<std::string> cpu_features() {
  std::vector<std::string> found;
#if defined(__x86_64__)
  // The compiler's run-time library asks the CPU and the operating system, both.
  __builtin_cpu_init();
  if (__builtin_cpu_supports("sse4.1")) found.emplace_back("sse4.1");
  if (__builtin_cpu_supports("avx2")) found.emplace_back("avx2");
  if (__builtin_cpu_supports("fma")) found.emplace_back("fma");
  if (has_f16c()) found.emplace_back("f16c");
  if (__builtin_cpu_supports("avx512f")) found.emplace_back("avx512f");
  if (__builtin_cpu_supports("avx512bw")) found.emplace_back("avx512bw");
  if (__builtin_cpu_supports("avx512vl")) found.emplace_back("avx512vl");
  if (__builtin_cpu_supports("avx512vbmi")) found.emplace_back("avx512vbmi");
  if (__builtin_cpu_supports("avx512vnni")) found.emplace_back("avx512vnni");
#elif defined(__aarch64__) && defined(__linux__)
  if ((getauxval(AT_HWCAP) & HWCAP_ASIMD) != 0) found.emplace_back("neon");
  if ((getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0) found.emplace_back("dotprod");
  if ((getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0) found.emplace_back("i8mm");
#endif
  return found;
}

}  // namespace bnq
