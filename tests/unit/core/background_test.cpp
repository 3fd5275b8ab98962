#include "core/threads/background.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <chrono>
#include <cstddef>
#include <future>
#include <memory>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

namespace bnq::detail {
namespace {

TEST(Background, RunsBesideTheCaller) {
  std::promise<void> caller_went_on;
  bool ended = false;
  Background background;
  background.run([&] {
    caller_went_on.get_future().wait();
    ended = true;
  });
  caller_went_on.set_value();  // a job on this thread would have waited for ever
  background.wait();
  EXPECT_TRUE(ended);
}

TEST(Background, KeepsTheOrder) {
  std::vector<int> order;  // no lock: jobs do not meet
  {
    Background background;
    for (int i = 0; i < 100; ++i) background.run([&order, i] { order.push_back(i); });
  }
  ASSERT_EQ(order.size(), 100U);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

TEST(Background, PassesOnWhatAJobThrew) {
  bool next_ran = false;
  Background background;
  background.run([] { throw std::runtime_error("full"); });
  EXPECT_THROW(background.run([&] { next_ran = true; }), std::runtime_error);
  EXPECT_FALSE(next_ran);
  background.wait();  // what was thrown is thrown once
  background.run([] { throw std::runtime_error("full"); });
  EXPECT_THROW(background.wait(), std::runtime_error);
}

TEST(Background, IsDestroyedWithAnErrorInIt) {
  Background background;
  background.run([] { throw std::runtime_error("full"); });
}

TEST(Background, LetsGoOfAJobThatIsDone) {
  const auto held = std::make_shared<int>(0);  // by a job: a packed tensor, of which no second one has to be there
  Background background;
  background.run([held] { ++*held; });
  background.wait();
  EXPECT_EQ(*held, 1);
  EXPECT_EQ(held.use_count(), 1);
}

#if defined(__GLIBC__)
/// While it lives the system has no thread: none of it has room for the stack.
class NoThreads {
 public:
  NoThreads() {
    pthread_getattr_default_np(&usual_);
    pthread_attr_t endless;
    pthread_attr_init(&endless);
    pthread_attr_setstacksize(&endless, std::size_t{1} << 50U);
    pthread_setattr_default_np(&endless);
    pthread_attr_destroy(&endless);
  }
  ~NoThreads() {
    pthread_setattr_default_np(&usual_);
    pthread_attr_destroy(&usual_);
  }
  NoThreads(const NoThreads&) = delete;
  NoThreads& operator=(const NoThreads&) = delete;

 private:
  pthread_attr_t usual_ = {};
};

TEST(Background, RunsOnTheCallersThreadWhereThereIsNoOther) {
  const NoThreads none;
  try {
    std::thread([] {}).join();
    GTEST_SKIP() << "the system gives threads all the same";
  } catch (const std::system_error&) {
  }
  int ran = 0;
  Background background;
  background.run([&] { ++ran; });
  background.run([&] { ++ran; });
  EXPECT_TRUE(background.ended_within(std::chrono::milliseconds{0}));
  EXPECT_EQ(ran, 2);
  background.run([] { throw std::runtime_error("full"); });
  EXPECT_THROW(background.wait(), std::runtime_error);
  {
    Background left;
    left.run([&] { ++ran; });
  }
  EXPECT_EQ(ran, 3);
}
#endif

}  // namespace
}  // namespace bnq::detail
