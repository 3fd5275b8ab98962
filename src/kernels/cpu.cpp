#include <bnq/cpu.h>

#include "core/fail.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>

#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace bnq {
namespace {

struct IsaRow {
  Isa isa;
  std::string_view name;
};

constexpr std::array<IsaRow, 1> isas{{{Isa::scalar, "scalar"}}};

std::string isa_names() {
  std::string text;
  for (const IsaRow& row : isas) text += (text.empty() ? "" : ", ") + std::string(row.name);
  return text;
}

Isa isa_of_environment(const std::string& text) {
  const auto* const row = std::ranges::find_if(isas, [&](const IsaRow& r) { return r.name == text; });
  if (row == isas.end()) {
    detail::fail(ErrorKind::invalid_argument, {.where = "BNQ_ISA",
                                               .what = "unknown instruction set",
                                               .got = "'" + detail::printable(text) + "'",
                                               .need = "one of " + isa_names()});
  }
  const std::vector<Isa> here = available_isas();
  if (std::ranges::find(here, row->isa) != here.end()) return row->isa;
  detail::fail(ErrorKind::unsupported, {.where = "BNQ_ISA",
                                        .what = "this CPU or system does not support " + text,
                                        .cure = "unset BNQ_ISA, or see `bnq cpu`"});
}

}  // namespace

std::string_view name(Isa isa) { return isas[static_cast<std::size_t>(isa)].name; }

std::vector<Isa> available_isas() { return {Isa::scalar}; }

Isa active_isa() {
  const char* text = std::getenv("BNQ_ISA");
  if (text != nullptr && *text != '\0') return isa_of_environment(text);
  return available_isas().back();
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
