#include "support/expect_error.h"

#include <bnq/roofs.h>

#include <gtest/gtest.h>

#include <cmath>

namespace bnq::test {
namespace {

// How fast a machine is, is no test. That a probe was left out by the compiler is: it would take no time.
TEST(Roofs, AreSpeedsThatMachinesHave) {
  const Roofs roofs = measure_roofs(2);
  EXPECT_EQ(roofs.isa, active_isa());
  EXPECT_EQ(roofs.threads, 2);
  EXPECT_GT(roofs.read_gb_per_s, 0);
  EXPECT_LT(roofs.read_gb_per_s, 5'000);
  EXPECT_GT(roofs.int8_gmac_per_s, 0);
  EXPECT_LT(roofs.int8_gmac_per_s, 2 * 2'000);
}

TEST(Roofs, RefuseWhatIsNoNumberOfThreads) {
  for (const int threads : {-1, 0, 1025}) {
    EXPECT_BNQ_ERROR(measure_roofs(threads), ErrorKind::invalid_argument, "need a whole number from 1 to 1024");
  }
}

}  // namespace
}  // namespace bnq::test
