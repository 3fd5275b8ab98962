#pragma once

#include <chrono>
#include <functional>
#include <future>

namespace bnq::detail {

/// Runs one job beside the caller: what is done goes to the disk while the next is computed. Jobs run one after the
/// other, in the order in which they were given. Where the system refuses a thread, the job runs on the caller's.
class Background {
 public:
  Background() = default;
  ~Background();  ///< waits; what the job threw is lost
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  /// Waits for the job before this one, and passes on what it threw; then this one does not run.
  void run(std::function<void()> job);

  /// Waits until nothing runs, and passes on what the last job threw.
  void wait();

  /// The same, for so long at most: false when the job still runs.
  bool ended_within(std::chrono::milliseconds time);

 private:
  std::function<void()> job_;
  std::future<void> running_;  // the last member: it ends before the job does
};

}  // namespace bnq::detail
