#include "core/parallel.h"

#include "core/float_state.h"
#include "core/threads/workers.h"

#include <algorithm>
#include <exception>
#include <mutex>

namespace bnq::detail {
namespace {

thread_local bool inside_parallel_for = false;

/// The exception of the first part that threw one.
class FirstError {
 public:
  void caught(std::int64_t part) noexcept {
    const std::lock_guard lock(mutex_);
    if (error_ && part_ < part) return;
    part_ = part;
    error_ = std::current_exception();
  }

  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::mutex mutex_;
  std::int64_t part_ = 0;
  std::exception_ptr error_;
};

/// Where part `part` begins: the first count % parts parts have one more.
std::int64_t begin_of(std::int64_t part, std::int64_t count, std::int64_t parts) {
  return part * (count / parts) + std::min(part, count % parts);
}

}  // namespace

void parallel_for_body(std::int64_t count, std::int64_t grain, const ParallelBody& body) {
  if (count <= 0) return;
  const std::int64_t most = std::max<std::int64_t>(1, count / std::max<std::int64_t>(1, grain));
  const std::int64_t parts = inside_parallel_for || most == 1 ? 1 : std::min<std::int64_t>(most, num_threads());
  if (parts == 1) {
    const FloatState float_state;
    return body(0, count);
  }
  FirstError error;
  const auto run_part = [&](int part) noexcept {
    const FloatState float_state;
    inside_parallel_for = true;
    try {
      body(begin_of(part, count, parts), begin_of(part + 1, count, parts));
    } catch (...) {
      error.caught(part);
    }
    inside_parallel_for = false;
  };
  run_on_workers(static_cast<int>(parts), std::cref(run_part));
  error.rethrow();
}

}  // namespace bnq::detail
