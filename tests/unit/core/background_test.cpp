#include "core/threads/background.h"

#include <gtest/gtest.h>

#include <future>
#include <stdexcept>
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

}  // namespace
}  // namespace bnq::detail
