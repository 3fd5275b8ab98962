#include <bnq/threads.h>

#include "core/fail.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>

namespace bnq {
namespace {

constexpr int most_threads = 1024;

std::atomic<int> chosen_threads{0};     // 0: not chosen yet
std::atomic<int> suggested_threads{0};  // 0: no host program has said

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

/// CPUs that the control group of this process may use at a time (a container's --cpus), rounded up. The files hold a
/// quota and a period in microseconds; without a limit the quota is "max" or -1, which is read as no number or less.
int control_group_limit() {
  double quota = 0;
  double period = 0;
  std::ifstream together("/sys/fs/cgroup/cpu.max");
  if (together) {
    together >> quota >> period;
  } else {
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") >> quota;
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_period_us") >> period;
  }
  if (!(quota > 0 && period > 0 && quota / period < most_threads)) return most_threads;
  return static_cast<int>(quota / period) +
         (quota > static_cast<double>(static_cast<int>(quota / period)) * period ? 1 : 0);
}

/// CPUs that this process may use; they are counted once.
int available_cpus() {
  // glibc counts the CPUs of the affinity mask, not those of the machine.
  static const int cpus = std::min(static_cast<int>(std::thread::hardware_concurrency()), control_group_limit());
  return std::clamp(cpus, 1, most_threads);
}

}  // namespace

int num_threads() {
  if (const int chosen = chosen_threads.load(std::memory_order_relaxed); chosen > 0) return chosen;
  const char* text = std::getenv("BNQ_NUM_THREADS");
  if (text != nullptr && *text != '\0') return threads_of_environment(text);
  const int suggested = suggested_threads.load(std::memory_order_relaxed);
  return suggested > 0 ? std::min(suggested, available_cpus()) : available_cpus();
}

void set_num_threads(int count) {
  require_thread_count("set_num_threads", std::to_string(count), count >= 1 && count <= most_threads);
  chosen_threads.store(count, std::memory_order_relaxed);
}

void suggest_num_threads(int count) noexcept { suggested_threads.store(count, std::memory_order_relaxed); }

}  // namespace bnq
