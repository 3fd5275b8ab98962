#include "core/threads/openmp.h"

#include <bnq/threads.h>

#include <gtest/gtest.h>

#include <functional>
#include <vector>

// An OpenMP library as small as can be: a team of one. Its names are found in this program, which exports them.
namespace {
int asked_threads = 0;
}  // namespace

extern "C" {
__attribute__((visibility("default"))) void GOMP_parallel(void (*body)(void*), void* data, unsigned threads, unsigned) {
  asked_threads = static_cast<int>(threads);
  body(data);
}
__attribute__((visibility("default"))) int omp_get_thread_num() { return 0; }
__attribute__((visibility("default"))) int omp_get_num_threads() { return 1; }
}

namespace bnq::test {
namespace {

TEST(OpenMp, IsLeftAloneUntilItIsShared) {
  EXPECT_FALSE(detail::run_on_openmp(2, [](int) {}));
}

TEST(OpenMp, ASmallerTeamDoesAllTheWork) {
  ASSERT_TRUE(share_openmp_threads());
  std::vector<int> calls(7, 0);
  EXPECT_TRUE(detail::run_on_openmp(7, [&](int i) { ++calls[static_cast<std::size_t>(i)]; }));
  EXPECT_EQ(calls, std::vector<int>(7, 1));
  EXPECT_EQ(asked_threads, 7);
}

}  // namespace
}  // namespace bnq::test
