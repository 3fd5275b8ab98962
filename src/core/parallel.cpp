#include "core/parallel.h"

#include "core/float_state.h"
#include "core/threads/workers.h"

#include <algorithm>
#include <exception>
#include <vector>

namespace bnq::detail {
namespace {

thread_local bool inside_parallel_for = false;

/// One part of the work, on whatever thread runs it.
class Part {
 public:
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::exception_ptr error;

  void run(const std::function<void(std::int64_t, std::int64_t)>& body) noexcept {
    const FloatState float_state;
    inside_parallel_for = true;
    try {
      body(begin, end);
    } catch (...) {
      error = std::current_exception();
    }
    inside_parallel_for = false;
  }
};

std::vector<Part> cut(std::int64_t count, std::int64_t parts) {
  std::vector<Part> cuts(static_cast<std::size_t>(parts));
  std::int64_t begin = 0;
  for (std::int64_t i = 0; i < parts; ++i) {
    Part& part = cuts[static_cast<std::size_t>(i)];
    part.begin = begin;
    part.end = begin + count / parts + (i < count % parts ? 1 : 0);
    begin = part.end;
  }
  return cuts;
}

}  // namespace

void parallel_for(std::int64_t count, std::int64_t grain,
                  const std::function<void(std::int64_t begin, std::int64_t end)>& body) {
  if (count <= 0) return;
  const std::int64_t most = std::max<std::int64_t>(1, count / std::max<std::int64_t>(1, grain));
  const std::int64_t parts_wanted = inside_parallel_for || most == 1 ? 1 : std::min<std::int64_t>(most, num_threads());
  if (parts_wanted == 1) {
    const FloatState float_state;
    return body(0, count);
  }
  std::vector<Part> parts = cut(count, parts_wanted);
  run_on_workers(static_cast<int>(parts_wanted), [&](int i) noexcept { parts[static_cast<std::size_t>(i)].run(body); });
  for (const Part& part : parts) {
    if (part.error) std::rethrow_exception(part.error);
  }
}

}  // namespace bnq::detail
