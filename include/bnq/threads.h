#pragma once

#include <bnq/export.h>

namespace bnq {

/// How many threads bnq may use at once. At first: BNQ_NUM_THREADS if set, else what `suggest_num_threads` said last,
/// else the CPUs this process may run on.
/// No result depends on it. Throws `invalid_argument` when BNQ_NUM_THREADS is not a number in [1, 1024].
[[nodiscard]] BNQ_EXPORT int num_threads();

/// Throws `invalid_argument` unless `count` is in [1, 1024].
BNQ_EXPORT void set_num_threads(int count);

/// A host program's own setting, such as torch's: what `num_threads` gives while nobody has chosen and BNQ_NUM_THREADS
/// is not set, but never more than the CPUs this process may run on. Nothing is thrown: less than 1 takes it back.
BNQ_EXPORT void suggest_num_threads(int count) noexcept;

/// From now on bnq works on the threads of the OpenMP library that this process has loaded (PyTorch has one), not on
/// threads of its own: two sets of threads on the same CPUs would keep each other waiting. A forked child, which OpenMP
/// threads do not survive, gets threads of its own. False, and nothing changes, in such a child and when no OpenMP
/// library is found.
BNQ_EXPORT bool share_openmp_threads();

}  // namespace bnq
