#include "kernels/registry.h"

#include <bnq/cpu.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace bnq::test {
namespace {

TEST(Cpu, ScalarIsAlwaysThere) {
  const std::vector<Isa> isas = available_isas();
  ASSERT_FALSE(isas.empty());
  EXPECT_EQ(isas.front(), Isa::scalar);
  EXPECT_EQ(name(Isa::scalar), "scalar");
  EXPECT_TRUE(std::ranges::is_sorted(isas));
}

TEST(Cpu, IsNamed) {
  EXPECT_FALSE(cpu_name().empty());
  const std::vector<std::string> features = cpu_features();
  EXPECT_EQ(std::set<std::string>(features.begin(), features.end()).size(), features.size());
}

TEST(Registry, NamesAreUniqueAndTheLastRunsAnywhere) {
  const std::vector<std::string> names = kernel_names();
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
  EXPECT_EQ(names.back(), "gemm_i8_i8/scalar/1x1");
  EXPECT_EQ(detail::all_kernels().back()->isa, Isa::scalar);
}

TEST(Registry, ChoosesTheBestForAnIsa) {
  for (const Isa isa : available_isas()) {
    const detail::Choice choice = detail::choose_kernel(isa);
    EXPECT_EQ(choice.kernel->isa, isa);
    for (const detail::PassedOver& other : choice.passed_over) EXPECT_FALSE(other.why.empty());
  }
}

}  // namespace
}  // namespace bnq::test
