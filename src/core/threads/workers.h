#pragma once

#include <functional>

namespace bnq::detail {

/// Calls task(0) … task(count - 1), task(0) on this thread and the others on threads that are kept between calls: a
/// product of a few microseconds cannot pay for new ones. Returns when all have ended. `task` must not throw.
///
/// While another thread of the program is in here, and where the system refuses threads, all tasks run on this one: the
/// CPUs are taken. A process that was forked starts with threads of its own.
void run_on_workers(int count, const std::function<void(int)>& task);

}  // namespace bnq::detail
