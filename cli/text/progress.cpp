#include "progress.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace bnq::cli {
namespace {

std::atomic<bool> stop_asked{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler writes it");

extern "C" void ask_to_stop(int signal) {
  stop_asked = true;
  std::signal(signal, SIG_DFL);
}

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

}  // namespace

void catch_interrupts() {
  std::signal(SIGINT, ask_to_stop);
  std::signal(SIGTERM, ask_to_stop);
  if (std::signal(SIGHUP, ask_to_stop) == SIG_IGN) std::signal(SIGHUP, SIG_IGN);  // nohup asked for that
}

void let_interrupts_end() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

ProgressBar::ProgressBar(std::string doing, bool shown) : doing_(std::move(doing)), shown_(shown) {}

ProgressBar::~ProgressBar() {
  if (drawn_) std::fputs("\r\x1b[K", stderr);
}

bool ProgressBar::is_wanted() {
  const char* terminal = std::getenv("TERM");
  const bool dumb = terminal == nullptr || std::string_view(terminal) == "dumb";
  return isatty(STDERR_FILENO) == 1 && !dumb && !is_set("CI");
}

Progress ProgressBar::callback() {
  return [this](std::uint64_t done_bytes, std::uint64_t total_bytes) {
    if (shown_) draw(done_bytes, total_bytes);
    return !stop_asked;
  };
}

void ProgressBar::draw(std::uint64_t done_bytes, std::uint64_t total_bytes) {
  using Seconds = std::chrono::duration<double>;
  const auto now = Clock::now();
  if (drawn_ && now - last_ < std::chrono::milliseconds(100)) return;
  drawn_ = true;
  last_ = now;
  const double seconds = Seconds(now - begin_).count();
  const double done = static_cast<double>(done_bytes) / 1e6;
  const double total = static_cast<double>(total_bytes) / 1e6;
  std::fprintf(stderr, "\r\x1b[K%s %.1f of %.1f MB", doing_.c_str(), done, total);
  if (done > 0 && seconds > 0) {
    std::fprintf(stderr, ", %.0f %%, %.0f MB/s, %.0f s left", 100 * done / total, done / seconds,
                 (total - done) * seconds / done);
  }
  std::fflush(stderr);
}

}  // namespace bnq::cli
