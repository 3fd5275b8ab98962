#pragma once

#include <bnq/threads.h>

#include <cstdint>
#include <functional>

namespace bnq::detail {

using ParallelBody = std::function<void(std::int64_t begin, std::int64_t end)>;

void parallel_for_body(std::int64_t count, std::int64_t grain, const ParallelBody& body);

/// Calls `body(begin, end)` over [0, count) cut into at most num_threads() neighbouring parts of at least `grain`.
///
/// Inside, the floating-point control state is the default one on every thread. A call from within a body runs on its
/// own thread. When bodies throw, the exception of the first part is passed on after all have ended. Allocates nothing.
template <typename Body>
void parallel_for(std::int64_t count, std::int64_t grain, const Body& body) {
  parallel_for_body(count, grain, std::cref(body));  // a reference fits in std::function, a large lambda would not
}

}  // namespace bnq::detail
