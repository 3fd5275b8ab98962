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
    for (const detail::GemmProblem& problem : {detail::GemmProblem{-1, 1, 64}, detail::GemmProblem{-127, 127, 4096}}) {
      const detail::Choice choice = detail::choose_kernel(isa, problem);
      EXPECT_EQ(choice.kernel->isa, isa);
      EXPECT_EQ(choice.kernel->refusal(problem), nullptr);
      for (const detail::PassedOver& other : choice.passed_over) EXPECT_FALSE(other.why.empty());
    }
    EXPECT_EQ(detail::row_kernels(isa).isa, isa);
  }
}

/// What a kernel cannot do exactly it refuses, and the next one takes it.
TEST(Registry, KernelsRefuseWhatTheyCannotHold) {
  for (const detail::Kernel* kernel : detail::all_kernels()) {
    const std::string op = kernel->op;
    if (op == "gemm_i8_t2") {
      EXPECT_NE(kernel->refusal({-2, 1, 64}), nullptr) << kernel->name();
      EXPECT_NE(kernel->refusal({-1, 2, 64}), nullptr) << kernel->name();
    }
    if (op == "gemm_i8_t8" && kernel->isa == Isa::avx2) {
      EXPECT_NE(kernel->refusal({-128, 127, 64}), nullptr);
    }
    if (op == "gemm_i8_t2" && kernel->isa == Isa::avx512vnni) {
      EXPECT_NE(kernel->refusal({-1, 1, 1 << 20}), nullptr);
    }
  }
}

}  // namespace
}  // namespace bnq::test
