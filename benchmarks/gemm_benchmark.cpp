// Every matrix kernel of the table, on codes that are ready, one thread: what `Linear` adds is not in here.

#include "kernels/registry.h"
#include "linear/tile.h"
#include "linear/tokens.h"
#include "random_values.h"

#include <bnq/layout.h>
#include <bnq/quantize.h>

#include <benchmark/benchmark.h>

#include <algorithm>

namespace bnq::benchmarks {
namespace {

constexpr std::int64_t outputs = 2560;
constexpr std::int64_t depth = 2560;

/// A scheme whose codes this kernel takes: the cheapest to hold.
Scheme scheme_for(const detail::Kernel& kernel) {
  const bool small = kernel.tile.kind == detail::TileKind::t2 || kernel.tile.kind == detail::TileKind::u2_hf;
  return Scheme::parse(small ? "ternary" : "8");
}

detail::Tile tile_for(const detail::Kernel& kernel, const QuantizedTensor& weight) {
  if (kernel.tile.layout == nullptr) return {kernel.tile, weight, {}};
  return {kernel.tile, pack(weight, Layout::parse(kernel.tile.layout)), {}};
}

void gemm(benchmark::State& state, const detail::Kernel& kernel) {
  const std::int64_t tokens = state.range(0);
  const std::vector<float> weight = random_values(outputs * depth);
  const detail::Tile tile =
      tile_for(kernel, quantize({weight.data(), DType::f32, {outputs, depth}}, scheme_for(kernel)));
  const std::vector<float> x = random_values(tokens * depth);
  std::vector<std::byte> scratch(detail::token_bytes(tokens, tile));
  const detail::TokenForm form{detail::row_kernels(kernel.isa), kernel.activation_xor};
  const detail::Tokens codes = detail::quantize_tokens({x.data(), DType::f32, {tokens, depth}}, tile, form, scratch);
  std::vector<std::byte> workspace(kernel.workspace_bytes(tokens, tile.view()) + 64);
  auto* const aligned = workspace.data() + (64 - reinterpret_cast<std::uintptr_t>(workspace.data()) % 64) % 64;
  std::vector<float> y(static_cast<std::size_t>(tokens * outputs));
  for (auto _ : state) {
    kernel.run({.activations = codes.codes,
                .activation_scales = codes.scales,
                .activation_sums = codes.sums,
                .tokens = tokens,
                .tile = tile.view(),
                .first_panel = 0,
                .last_panel = tile.panels(),
                .y = y.data(),
                .y_dtype = DType::f32,
                .workspace = aligned});
    benchmark::DoNotOptimize(y.data());
  }
  state.counters["GMAC/s"] = benchmark::Counter(static_cast<double>(tokens * outputs * depth) / 1e9,
                                                benchmark::Counter::kIsIterationInvariantRate);
}

const bool registered = [] {
  const Isa best = available_isas().back();
  for (const detail::Kernel* kernel : detail::all_kernels()) {
    if (kernel->isa > best) continue;
    auto* const row = benchmark::RegisterBenchmark(kernel->name().c_str(),
                                                   [kernel](benchmark::State& state) { gemm(state, *kernel); });
    row->ArgName("tokens")->Unit(benchmark::kMicrosecond);
    for (const std::int64_t tokens : {1, 8, 32, 128, 512}) {
      if (kernel->isa != Isa::scalar || tokens <= 8) row->Arg(tokens);
    }
  }
  return true;
}();

}  // namespace
}  // namespace bnq::benchmarks
