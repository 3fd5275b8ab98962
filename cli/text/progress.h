#pragma once

#include <bnq/checkpoint.h>

#include <chrono>
#include <cstdint>
#include <string>

namespace bnq::cli {

/// From here on the first Ctrl-C (or SIGTERM, or a terminal that is gone) asks running work to stop, which then leaves
/// nothing behind; the second one ends the process at once.
void catch_interrupts();

/// From here on nothing would be lost: the first one ends the process.
void let_interrupts_end();

/// One line on standard error that says how far the work is, and is gone when it is done. Also the place where a
/// Ctrl-C is noticed, shown or not.
class ProgressBar {
 public:
  ProgressBar(std::string doing, bool shown);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// For the library to call; must not outlive the bar.
  [[nodiscard]] Progress callback();

  /// Is a person watching? Standard error is a terminal that can redraw a line, and this is no CI machine.
  [[nodiscard]] static bool is_wanted();

 private:
  using Clock = std::chrono::steady_clock;

  void draw(std::uint64_t done_bytes, std::uint64_t total_bytes);

  std::string doing_;
  bool shown_;
  bool drawn_ = false;
  Clock::time_point begin_ = Clock::now();
  Clock::time_point last_ = {};
};

}  // namespace bnq::cli
