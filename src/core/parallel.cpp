#include "core/parallel.h"

#include "core/fail.h"
#include "core/float_state.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

namespace bnq {
namespace {

constexpr int most_threads = 1024;

std::atomic<int> chosen_threads{0};  // 0: not chosen yet

thread_local bool inside_parallel_for = false;

void require_thread_count(const char* where, std::string got, bool valid) {
  if (valid) return;
  detail::fail(ErrorKind::invalid_argument, {.where = where,
                                             .what = "not a number of threads",
                                             .got = std::move(got),
                                             .need = "a whole number from 1 to " + std::to_string(most_threads)});
}

int threads_of_environment(std::string_view text) {
  int count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const bool valid = error == std::errc() && end == text.data() + text.size() && count >= 1 && count <= most_threads;
  require_thread_count("BNQ_NUM_THREADS", "'" + detail::printable(std::string(text)) + "'", valid);
  return count;
}

int default_threads() {
  if (const char* text = std::getenv("BNQ_NUM_THREADS"); text != nullptr && *text != '\0') {
    return threads_of_environment(text);
  }
  // glibc counts the CPUs of the affinity mask, not those of the machine.
  return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, most_threads);
}

/// One part of the work, on whatever thread runs it.
class Part {
 public:
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::exception_ptr error;

  void run(const std::function<void(std::int64_t, std::int64_t)>& body) noexcept {
    const detail::FloatState float_state;
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

/// Runs every part; one the system refuses a thread for is run here, so the work is always done.
void run_all(std::vector<Part>& parts, const std::function<void(std::int64_t, std::int64_t)>& body) {
  std::vector<std::thread> threads;
  threads.reserve(parts.size());
  std::size_t started = 1;
  try {
    for (; started < parts.size(); ++started) threads.emplace_back(&Part::run, &parts[started], std::cref(body));
  } catch (const std::system_error&) {
  }
  parts.front().run(body);
  for (; started < parts.size(); ++started) parts[started].run(body);
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

int num_threads() {
  if (const int chosen = chosen_threads.load(std::memory_order_relaxed); chosen > 0) return chosen;
  return default_threads();
}

void set_num_threads(int count) {
  require_thread_count("set_num_threads", std::to_string(count), count >= 1 && count <= most_threads);
  chosen_threads.store(count, std::memory_order_relaxed);
}

namespace detail {

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
  run_all(parts, body);
  for (const Part& part : parts) {
    if (part.error) std::rethrow_exception(part.error);
  }
}

}  // namespace detail
}  // namespace bnq
