#pragma once

#include <functional>

namespace bnq::detail {

/// Runs the tasks on the OpenMP threads of the host program, if it shares them (bnq/threads.h); false if not.
bool run_on_openmp(int count, const std::function<void(int)>& task);

}  // namespace bnq::detail
