#include "core/threads/openmp.h"

#include <bnq/threads.h>

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>

namespace bnq {
namespace {

using Tasks = const std::function<void(int)>;

// What g++ makes of `#pragma omp parallel`. Every OpenMP library has it, libgomp, libomp and libiomp5 alike.
using GompParallel = void (*)(void (*body)(void*), void* data, unsigned threads, unsigned flags);
using OmpNumber = int (*)();

struct OpenMp {
  GompParallel parallel = nullptr;
  OmpNumber thread_number = nullptr;
  OmpNumber team_size = nullptr;
};

std::atomic<const OpenMp*> shared{nullptr};
std::atomic<bool> forked{false};

/// libgomp does not survive a fork: a child that asked its threads for work would wait for ever.
void leave_openmp() {
  forked.store(true);
  shared.store(nullptr);
}

/// Found by name, so that nothing is linked: the host program has loaded one, or there is none.
OpenMp find_openmp() {
  pthread_atfork(nullptr, nullptr, leave_openmp);
  return {reinterpret_cast<GompParallel>(::dlsym(RTLD_DEFAULT, "GOMP_parallel")),
          reinterpret_cast<OmpNumber>(::dlsym(RTLD_DEFAULT, "omp_get_thread_num")),
          reinterpret_cast<OmpNumber>(::dlsym(RTLD_DEFAULT, "omp_get_num_threads"))};
}

struct Work {
  const OpenMp& openmp;
  Tasks& task;
  int count;
};

/// A team may be smaller than was asked for, and is one thread inside of another team.
void run_share(void* data) {
  const auto& work = *static_cast<const Work*>(data);
  const int team = work.openmp.team_size();
  for (int i = work.openmp.thread_number(); i < work.count; i += team) work.task(i);
}

}  // namespace

bool share_openmp_threads() {
  static const OpenMp found = find_openmp();
  if (found.parallel == nullptr || found.thread_number == nullptr || found.team_size == nullptr || forked) return false;
  shared.store(&found);
  return true;
}

namespace detail {

bool run_on_openmp(int count, const std::function<void(int)>& task) {
  const OpenMp* const openmp = shared.load(std::memory_order_acquire);
  if (openmp == nullptr) return false;
  Work work{*openmp, task, count};
  openmp->parallel(run_share, &work, static_cast<unsigned>(count), 0);
  return true;
}

}  // namespace detail
}  // namespace bnq
