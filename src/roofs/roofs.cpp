#include <bnq/roofs.h>

#include "core/fail.h"
#include "core/memory/memory.h"
#include "core/threads/workers.h"
#include "kernels/registry.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <string>

namespace bnq {
namespace {

constexpr std::size_t buffer_bytes = std::size_t{1} << 28U;
constexpr std::size_t page_bytes = 4096;
constexpr std::int64_t rounds = 40'000;
constexpr int passes = 9;

/// Median seconds that `threads` threads take for a task each, all at once.
double median_seconds(int threads, const std::function<void(int thread)>& task) {
  std::array<double, passes> seconds{};
  detail::run_on_workers(threads, task);  // threads are started, pages are there
  for (double& pass : seconds) {
    const auto begin = std::chrono::steady_clock::now();
    detail::run_on_workers(threads, task);
    pass = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  std::ranges::nth_element(seconds, seconds.begin() + passes / 2);
  return seconds[passes / 2];
}

std::atomic<std::uint64_t> seen{0};  // what the probes say has to go somewhere, or they would be left out

double read_gb_per_s(const detail::RoofProbes& probes, int threads) {
  const std::size_t part = buffer_bytes / static_cast<std::size_t>(threads) / page_bytes * page_bytes;
  const auto buffer = detail::zeroed_memory(buffer_bytes);
  std::fill_n(buffer.get(), buffer_bytes, std::byte{1});  // untouched memory is one page of zeros, read from the cache
  const double seconds = median_seconds(
      threads, [&](int thread) { seen += probes.read(buffer.get() + static_cast<std::size_t>(thread) * part, part); });
  return static_cast<double>(part) * threads / seconds / 1e9;
}

double int8_gmac_per_s(const detail::RoofProbes& probes, int threads) {
  const double seconds = median_seconds(threads, [&](int) { seen += probes.multiply(rounds); });
  return static_cast<double>(probes.products_a_round * rounds) * threads / seconds / 1e9;
}

}  // namespace

Roofs measure_roofs(int threads) {
  if (threads < 1 || threads > 1024) {
    detail::fail(ErrorKind::invalid_argument, {.where = "measure_roofs",
                                               .what = "not a number of threads",
                                               .got = std::to_string(threads),
                                               .need = "a whole number from 1 to 1024"});
  }
  const Isa isa = active_isa();
  const detail::RoofProbes& probes = detail::roof_probes(isa);
  return {isa, threads, read_gb_per_s(probes, threads), int8_gmac_per_s(probes, threads)};
}

}  // namespace bnq
