// Every element-wise kernel of the table, on a block that stays in the first-level cache.

#include "kernels/registry.h"
#include "random_values.h"

#include <benchmark/benchmark.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace bnq::benchmarks {
namespace {

constexpr std::int64_t elements = 2048;

struct Block {
  std::vector<float> values = random_values(elements);
  std::vector<std::uint16_t> halves = std::vector<std::uint16_t>(elements, 0x3C00);
  std::vector<float> widened = std::vector<float>(elements);
  std::vector<std::int8_t> codes = std::vector<std::int8_t>(elements);
  detail::CodeRule rule{.factor = 0.02F, .low = -127, .high = 127};
};

void add(const detail::RowKernels& kernels, const char* what, std::function<void(Block&)> call) {
  const std::string name = std::string(what) + "/" + std::string(bnq::name(kernels.isa));
  benchmark::RegisterBenchmark(name.c_str(), [call = std::move(call)](benchmark::State& state) {
    Block block;
    for (auto _ : state) {
      call(block);
      benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations() * elements);
  });
}

const bool registered = [] {
  for (const Isa isa : available_isas()) {
    const detail::RowKernels& k = detail::row_kernels(isa);
    add(k, "absmax", [&k](Block& b) { benchmark::DoNotOptimize(k.absmax(b.values.data(), elements)); });
    add(k, "magnitudes", [&k](Block& b) { benchmark::DoNotOptimize(k.magnitudes(b.values.data(), elements)); });
    add(k, "sum", [&k](Block& b) { benchmark::DoNotOptimize(k.sum(b.values.data(), elements)); });
    add(k, "divide", [&k](Block& b) { k.divide(b.values.data(), elements, b.rule, b.codes.data()); });
    add(k, "multiply", [&k](Block& b) { k.multiply(b.values.data(), elements, b.rule, b.codes.data()); });
    add(k, "widen_f16", [&k](Block& b) { k.widen_f16(b.halves.data(), elements, b.widened.data()); });
    add(k, "widen_bf16", [&k](Block& b) { k.widen_bf16(b.halves.data(), elements, b.widened.data()); });
  }
  return true;
}();

}  // namespace
}  // namespace bnq::benchmarks
