#pragma once

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <cstdint>
#else
#include <cfenv>
#endif

namespace bnq::detail {

/// While one lives, this thread rounds to nearest even and keeps subnormals (no flush to zero, no trap), whatever its
/// owner had set; its end puts that back. Without it `torch.set_flush_denormal(True)` changes codes.
class FloatState {
 public:
  FloatState(const FloatState&) = delete;
  FloatState& operator=(const FloatState&) = delete;

#if defined(__x86_64__) || defined(_M_X64)
  FloatState() : saved_(_mm_getcsr()) { _mm_setcsr(0x1F80U); }  // MXCSR as at reset: all exceptions masked
  ~FloatState() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
#elif defined(__aarch64__)
  FloatState() {
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved_));
    __asm__ volatile("msr fpcr, xzr" ::: "memory");
  }
  ~FloatState() { __asm__ volatile("msr fpcr, %0" ::"r"(saved_) : "memory"); }

 private:
  std::uint64_t saved_;
#else
  FloatState() {
    std::fegetenv(&saved_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~FloatState() { std::fesetenv(&saved_); }

 private:
  std::fenv_t saved_;
#endif
};

}  // namespace bnq::detail
