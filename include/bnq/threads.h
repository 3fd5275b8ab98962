#pragma once

#include <bnq/export.h>

namespace bnq {

/// How many threads bnq may use at once. At first: BNQ_NUM_THREADS if set, else the CPUs this process may run on.
/// No result depends on it. Throws `invalid_argument` when BNQ_NUM_THREADS is not a number in [1, 1024].
[[nodiscard]] BNQ_EXPORT int num_threads();

/// Throws `invalid_argument` unless `count` is in [1, 1024].
BNQ_EXPORT void set_num_threads(int count);

}  // namespace bnq
