// What the environment says. A program of its own: once set_num_threads was called, BNQ_NUM_THREADS does not count.

#include "support/environment.h"
#include "support/expect_error.h"
#include "support/tensors.h"

#include <bnq/cpu.h>
#include <bnq/linear.h>
#include <bnq/quantize.h>
#include <bnq/threads.h>

#include <gtest/gtest.h>

#include <string>

namespace bnq::test {
namespace {

void expect_bad_thread_counts(const EnvironmentVariable& variable) {
  for (const char* bad : {"0", "-1", "1025", "two", "2x", " 2", "2.5", "99999999999999999999"}) {
    variable.set(bad);
    EXPECT_BNQ_ERROR(num_threads(), ErrorKind::invalid_argument, "BNQ_NUM_THREADS", "'" + std::string(bad) + "'",
                     "from 1 to 1024");
  }
  variable.set("\x1b[2J");
  EXPECT_BNQ_ERROR(num_threads(), ErrorKind::invalid_argument, "\\x1b[2J");
}

/// One test, since the last step cannot be undone.
TEST(Environment, NumThreads) {
  const EnvironmentVariable variable("BNQ_NUM_THREADS", nullptr);
  const int cpus = num_threads();
  EXPECT_GE(cpus, 1);
  variable.set("");
  EXPECT_EQ(num_threads(), cpus);
  variable.set("3");
  EXPECT_EQ(num_threads(), 3);
  variable.set("1024");
  EXPECT_EQ(num_threads(), 1024);
  expect_bad_thread_counts(variable);
  variable.set("5");
  set_num_threads(2);
  EXPECT_EQ(num_threads(), 2);  // who asks in code is heard first
}

TEST(Environment, Isa) {
  const EnvironmentVariable variable("BNQ_ISA", nullptr);
  const Isa best = active_isa();
  EXPECT_EQ(best, available_isas().back());
  variable.set("");
  EXPECT_EQ(active_isa(), best);
  variable.set("scalar");
  EXPECT_EQ(active_isa(), Isa::scalar);
  for (const char* bad : {"avx9", "Scalar", "scalar ", "1"}) {
    variable.set(bad);
    EXPECT_BNQ_ERROR(active_isa(), ErrorKind::invalid_argument, "BNQ_ISA", "'" + std::string(bad) + "'", "scalar");
  }
}

TEST(Environment, LinearRunsTheForcedIsa) {
  const Tensor w = make_tensor(DType::f32, {1, 2}, {1.0F, 2.0F});
  const QuantizedTensor q = quantize(w.view(), Scheme::parse("8"));
  const EnvironmentVariable variable("BNQ_ISA", "scalar");
  EXPECT_NE(Linear(q).explain().find("instruction set: scalar"), std::string::npos);
  variable.set("quantum");
  EXPECT_BNQ_ERROR(Linear(q), ErrorKind::invalid_argument, "BNQ_ISA", "'quantum'");
}

}  // namespace
}  // namespace bnq::test
