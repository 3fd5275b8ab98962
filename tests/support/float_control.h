#pragma once

#include <cfenv>
#include <cstdint>

namespace bnq::test {

/// The control register of floating-point arithmetic on this thread, without the sticky exception flags.
inline std::uint64_t float_control() {
#if defined(__x86_64__)
  return __builtin_ia32_stmxcsr() & ~0x3FULL;
#elif defined(__aarch64__)
  std::uint64_t fpcr = 0;
  __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
  return fpcr;
#else
  return static_cast<std::uint64_t>(std::fegetround());
#endif
}

inline void set_float_control(std::uint64_t control) {
#if defined(__x86_64__)
  __builtin_ia32_ldmxcsr(static_cast<unsigned>(control));
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" ::"r"(control) : "memory");
#else
  std::fesetround(static_cast<int>(control));
#endif
}

/// While one lives, this thread flushes subnormals to zero, in and out, and rounds towards zero: what the worst caller
/// could have set. Its end puts back what was there.
class HostileFloatControl {
 public:
  HostileFloatControl() : saved_(float_control()) {
#if defined(__x86_64__)
    set_float_control(saved_ | 0x8040U | 0x6000U);  // FTZ, DAZ; RC = towards zero
#elif defined(__aarch64__)
    set_float_control(saved_ | (1ULL << 24U) | (3ULL << 22U));  // FZ; RMode = towards zero
#else
    std::fesetround(FE_TOWARDZERO);
#endif
    hostile_ = float_control();
  }
  ~HostileFloatControl() { set_float_control(saved_); }
  HostileFloatControl(const HostileFloatControl&) = delete;
  HostileFloatControl& operator=(const HostileFloatControl&) = delete;

  /// False when somebody changed it and did not put it back.
  [[nodiscard]] bool untouched() const { return float_control() == hostile_; }

 private:
  std::uint64_t saved_;
  std::uint64_t hostile_ = 0;
};

}  // namespace bnq::test
