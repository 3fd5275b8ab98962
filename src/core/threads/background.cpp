#include "core/threads/background.h"

#include <utility>

namespace bnq::detail {

Background::~Background() {
  if (running_.valid()) running_.wait();
}

void Background::run(std::function<void()> job) {
  wait();
  running_ = std::async(std::launch::async | std::launch::deferred, std::move(job));
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
