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

void add(const std::string& what, std::function<void(Block&)> call) {
  benchmark::RegisterBenchmark(what.c_str(), [call = std::move(call)](benchmark::State& state) {
    Block block;
    for (auto _ : state) {
      call(block);
      benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations() * elements);
  });
}

void add_all(Isa isa, DType dtype) {
  const detail::RowOperations& ops = detail::row_kernels(isa).of(dtype);
  const std::string suffix = "/" + std::string(name(dtype)) + "/" + std::string(name(isa));
  const auto values = [dtype](const Block& b) -> const void* {
    if (dtype == DType::f32) return b.values.data();
    return b.halves.data();
  };
  add("absmax" + suffix, [=](Block& b) { benchmark::DoNotOptimize(ops.absmax(values(b), elements)); });
  add("magnitudes" + suffix, [=](Block& b) { benchmark::DoNotOptimize(ops.magnitudes(values(b), elements)); });
  add("sum" + suffix, [=](Block& b) { benchmark::DoNotOptimize(ops.sum(values(b), elements)); });
  add("divide" + suffix, [=](Block& b) { ops.divide(values(b), elements, b.rule, b.codes.data()); });
  add("multiply" + suffix, [=](Block& b) { ops.multiply(values(b), elements, b.rule, b.codes.data()); });
  add("widen" + suffix, [=](Block& b) { ops.widen(values(b), elements, b.widened.data()); });
}

const bool registered = [] {
  for (const Isa isa : available_isas()) {
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) add_all(isa, dtype);
  }
  return true;
}();

}  // namespace
}  // namespace bnq::benchmarks
