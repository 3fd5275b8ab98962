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

}  // namespace bnq::detail
