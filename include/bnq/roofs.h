#pragma once

#include <bnq/cpu.h>
#include <bnq/export.h>

namespace bnq {

/// What this machine can do at most with the instruction set in use: the figures that a kernel's speed is held against.
struct Roofs {
  Isa isa;
  int threads;
  double read_gb_per_s;    ///< 10^9 bytes a second read from memory, far past the caches
  double int8_gmac_per_s;  ///< 10^9 int8 products a second, multiplied and summed in registers
};

/// Measures them now, in about half a second: the median of several passes, so that one disturbance does not count.
/// Takes 256 MB for that time. Throws `invalid_argument` unless `threads` is in [1, 1024], std::bad_alloc without
/// memory.
[[nodiscard]] BNQ_EXPORT Roofs measure_roofs(int threads);

}  // namespace bnq
