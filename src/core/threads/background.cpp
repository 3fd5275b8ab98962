#include "core/threads/background.h"

#include <utility>

namespace bnq::detail {

Background::~Background() {
  if (running_.valid()) running_.wait();
}

void Background::run(std::function<void()> job) {
  wait();
  job_ = std::move(job);
  // Not the job itself: std::async moves it into a thread's state before it learns that there is no thread.
  running_ = std::async(std::launch::async | std::launch::deferred, [this] {
    const auto own = std::exchange(job_, nullptr);  // what it holds is gone when it is done
    own();
  });
}

void Background::wait() {
  if (running_.valid()) running_.get();
}

bool Background::ended_within(std::chrono::milliseconds time) {
  if (running_.valid() && running_.wait_for(time) == std::future_status::timeout) return false;
  wait();  // runs the job where there was no thread for it
  return true;
}

}  // namespace bnq::detail
