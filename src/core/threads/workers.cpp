#include "core/threads/workers.h"

#include "core/threads/openmp.h"

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <system_error>
#include <thread>

namespace bnq::detail {
namespace {

// A worker looks for work this often before it sleeps, some 20 to 80 µs: long enough to be awake for the next layer of
// a model, short enough not to be noticed by another library's threads that take turns with ours.
constexpr int looks_before_sleep = 2000;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/// Waits until `value` is no longer `old`; returns what it is then. Looks `looks` times before it sleeps.
std::uint32_t wait_for_change(const std::atomic<std::uint32_t>& value, std::uint32_t old, int looks) {
  for (int i = 0; i < looks; ++i) {
    const std::uint32_t now = value.load(std::memory_order_acquire);
    if (now != old) return now;
    relax();
  }
  value.wait(old, std::memory_order_acquire);
  return value.load(std::memory_order_acquire);
}

class Workers {
 public:
  /// False when they are busy with somebody else's work.
  bool run(int count, const std::function<void(int)>& task) {
    const std::unique_lock lock(busy_, std::try_to_lock);
    if (!lock) return false;
    const int started = start(count - 1);
    // With more threads than CPUs, one that only looks keeps another from working.
    const int looks = started < cpus_ ? looks_before_sleep : 0;
    looks_.store(looks, std::memory_order_relaxed);
    task_ = &task;
    pending_.store(static_cast<std::uint32_t>(started), std::memory_order_relaxed);
    // Workers read the number of tasks from the word that wakes them: one that has none touches nothing else.
    const std::uint32_t turn = (turn_.load(std::memory_order_relaxed) >> count_bits) + 1;
    turn_.store(turn << count_bits | static_cast<std::uint32_t>(started), std::memory_order_release);
    turn_.notify_all();
    task(0);
    for (int i = started + 1; i < count; ++i) task(i);
    for (std::uint32_t left = pending_.load(std::memory_order_acquire); left != 0;)
      left = wait_for_change(pending_, left, looks);
    return true;
  }

 private:
  static constexpr unsigned count_bits = 12;

  /// At least `count` workers, or as many as the system gives. Returns how many of them will work.
  int start(int count) {
    try {
      for (; running_ < count; ++running_) std::thread(&Workers::work, this, running_, turn_.load()).detach();
    } catch (const std::system_error&) {
    }
    return running_ < count ? running_ : count;
  }

  void work(int index, std::uint32_t turn) {
    for (;;) {
      turn = wait_for_change(turn_, turn, looks_.load(std::memory_order_relaxed));
      if (static_cast<std::uint32_t>(index) >= (turn & ((1U << count_bits) - 1U))) continue;
      (*task_)(index + 1);
      if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) pending_.notify_one();
    }
  }

  const int cpus_ = static_cast<int>(std::thread::hardware_concurrency());
  std::mutex busy_;
  int running_ = 0;
  std::atomic<int> looks_{looks_before_sleep};
  const std::function<void(int)>* task_ = nullptr;
  std::atomic<std::uint32_t> turn_{0};     ///< changes when there is work; its low bits say for how many workers
  std::atomic<std::uint32_t> pending_{0};  ///< workers that have not ended
};

std::atomic<Workers*> workers{nullptr};

/// Never destroyed: its threads live as long as the process, and wait in it when statics are torn down.
Workers& the_workers() {
  Workers* existing = workers.load(std::memory_order_acquire);
  if (existing != nullptr) return *existing;
  static std::once_flag forks_are_seen;
  // A forked child has none of the threads, and perhaps a lock that nobody will open: it gets new ones.
  std::call_once(forks_are_seen, [] { pthread_atfork(nullptr, nullptr, [] { workers.store(nullptr); }); });
  auto* const fresh = new Workers;
  if (workers.compare_exchange_strong(existing, fresh)) return *fresh;
  delete fresh;
  return *existing;
}

}  // namespace

void run_on_workers(int count, const std::function<void(int)>& task) {
  if (count > 1 && (run_on_openmp(count, task) || the_workers().run(count, task))) return;
  for (int i = 0; i < count; ++i) task(i);
}

}  // namespace bnq::detail
