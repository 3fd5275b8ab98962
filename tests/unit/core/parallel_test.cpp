#include "core/parallel.h"

#include "support/environment.h"
#include "support/expect_error.h"
#include "support/float_control.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <mutex>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace bnq::test {
namespace {

using Ranges = std::vector<std::pair<std::int64_t, std::int64_t>>;

/// The parts that a call makes, sorted.
Ranges parts_of(std::int64_t count, std::int64_t grain) {
  std::mutex mutex;
  Ranges parts;
  detail::parallel_for(count, grain, [&](std::int64_t begin, std::int64_t end) {
    const std::lock_guard lock(mutex);
    parts.emplace_back(begin, end);
  });
  std::ranges::sort(parts);
  return parts;
}

TEST(ParallelFor, PartsCoverTheRangeOnce) {
  for (const int threads : {1, 2, 7, 64}) {
    const ThreadCount count(threads);
    for (const std::int64_t size : {0, 1, 2, 6, 7, 8, 100, 1001}) {
      for (const std::int64_t grain : {0, 1, 3, 10, 5000}) {
        const Ranges parts = parts_of(size, grain);
        ASSERT_LE(parts.size(), static_cast<std::size_t>(threads));
        std::int64_t at = 0;
        for (const auto& [begin, end] : parts) {
          EXPECT_EQ(begin, at);
          EXPECT_TRUE(end - begin >= grain || parts.size() == 1) << size << " by " << grain;
          at = end;
        }
        EXPECT_EQ(at, size);
      }
    }
  }
}

TEST(ParallelFor, UsesAsManyThreadsAsAllowed) {
  const ThreadCount seven(7);
  EXPECT_EQ(parts_of(70, 10).size(), 7U);
  EXPECT_EQ(parts_of(69, 10).size(), 6U);
  EXPECT_EQ(parts_of(700, 10).size(), 7U);
  std::mutex mutex;
  std::set<std::thread::id> ids;
  detail::parallel_for(7, 1, [&](std::int64_t, std::int64_t) {
    const std::lock_guard lock(mutex);
    ids.insert(std::this_thread::get_id());
  });
  EXPECT_EQ(ids.size(), 7U);
}

TEST(ParallelFor, NestedCallsStayOnTheirThread) {
  const ThreadCount seven(7);
  std::atomic<int> inner_parts{0};
  std::atomic<int> strays{0};
  detail::parallel_for(7, 1, [&](std::int64_t, std::int64_t) {
    const std::thread::id outer = std::this_thread::get_id();
    detail::parallel_for(1000, 1, [&](std::int64_t, std::int64_t) {
      ++inner_parts;
      if (std::this_thread::get_id() != outer) ++strays;
    });
  });
  EXPECT_EQ(inner_parts, 7);
  EXPECT_EQ(strays, 0);
  EXPECT_EQ(parts_of(7, 1).size(), 7U);  // and afterwards all is as before
}

TEST(ParallelFor, PassesOnTheFirstPartsException) {
  const ThreadCount seven(7);
  std::atomic<int> ended{0};
  try {
    detail::parallel_for(7, 1, [&](std::int64_t begin, std::int64_t) {
      ++ended;
      if (begin >= 2) throw std::runtime_error("part " + std::to_string(begin));
    });
    ADD_FAILURE() << "no exception";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "part 2");
  }
  EXPECT_EQ(ended, 7);
  EXPECT_EQ(parts_of(7, 1).size(), 7U);  // usable again
  EXPECT_THROW(detail::parallel_for(1, 1, [](std::int64_t, std::int64_t) { throw std::bad_alloc(); }), std::bad_alloc);
}

TEST(ParallelFor, HasTheDefaultFloatStateOnEveryThread) {
  const std::uint64_t clean = float_control();
  for (const int threads : {1, 7}) {
    const ThreadCount count(threads);
    const HostileFloatControl hostile;
    std::atomic<int> dirty{0};
    detail::parallel_for(7, 1, [&](std::int64_t, std::int64_t) { dirty += float_control() != clean ? 1 : 0; });
    EXPECT_EQ(dirty, 0);
    EXPECT_TRUE(hostile.untouched());
  }
}

TEST(SetNumThreads, Bounds) {
  const ThreadCount restore(num_threads());
  for (const int bad : {0, -1, 1025, std::numeric_limits<int>::min(), std::numeric_limits<int>::max()}) {
    EXPECT_BNQ_ERROR((set_num_threads(bad), 0), ErrorKind::invalid_argument, "set_num_threads",
                     "got " + std::to_string(bad), "from 1 to 1024");
  }
  for (const int good : {1, 2, 1024}) {
    set_num_threads(good);
    EXPECT_EQ(num_threads(), good);
  }
}

}  // namespace
}  // namespace bnq::test
