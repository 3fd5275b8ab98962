// Quantizing, packing and dequantizing whole tensors in memory, every scheme and float type, on num_threads() threads.

#include "random_values.h"

#include <bnq/layout.h>
#include <bnq/quantize.h>

#include <benchmark/benchmark.h>

#include <cstring>
#include <string>
#include <vector>

namespace bnq::benchmarks {
namespace {

constexpr std::int64_t rows = 2560;
constexpr std::int64_t depth = 6912;

/// Random values in the memory form of `dtype`: the upper half of a float32 is a bfloat16.
std::vector<std::byte> elements_of(DType dtype) {
  const std::vector<float> values = random_values(rows * depth);
  std::vector<std::byte> bytes(values.size() * static_cast<std::size_t>(size_bytes(dtype)));
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (dtype == DType::f32) {
      std::memcpy(bytes.data() + 4 * i, &values[i], 4);
    } else {
      std::memcpy(bytes.data() + 2 * i, reinterpret_cast<const std::byte*>(&values[i]) + 2, 2);
    }
  }
  return bytes;
}

void quantize_weights(benchmark::State& state, const Scheme& scheme, DType dtype) {
  const std::vector<std::byte> values = elements_of(dtype);
  for (auto _ : state) benchmark::DoNotOptimize(quantize({values.data(), dtype, {rows, depth}}, scheme).codes().data());
  state.SetItemsProcessed(state.iterations() * rows * depth);
}

void pack_codes(benchmark::State& state, const std::string& scheme) {
  const std::vector<std::byte> values = elements_of(DType::f32);
  const QuantizedTensor q = quantize({values.data(), DType::f32, {rows, depth}}, Scheme::parse(scheme));
  for (auto _ : state) benchmark::DoNotOptimize(pack(q).nbytes());
  state.SetItemsProcessed(state.iterations() * rows * depth);
}

void dequantize_codes(benchmark::State& state, const std::string& scheme) {
  const std::vector<std::byte> values = elements_of(DType::f32);
  const QuantizedTensor q = quantize({values.data(), DType::f32, {rows, depth}}, Scheme::parse(scheme));
  for (auto _ : state) benchmark::DoNotOptimize(dequantize(q).nbytes());
  state.SetItemsProcessed(state.iterations() * rows * depth);
}

const bool registered = [] {
  for (const Scheme& scheme : Scheme::all()) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const std::string name = "quantize/" + scheme.to_string() + "/" + std::string(bnq::name(dtype));
      benchmark::RegisterBenchmark(name.c_str(),
                                   [scheme, dtype](benchmark::State& state) { quantize_weights(state, scheme, dtype); })
          ->Unit(benchmark::kMillisecond)
          ->UseRealTime();
    }
  }
  for (const std::string scheme : {"8", "ternary"}) {
    benchmark::RegisterBenchmark(("pack/" + scheme).c_str(),
                                 [scheme](benchmark::State& state) { pack_codes(state, scheme); })
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
    benchmark::RegisterBenchmark(("dequantize/" + scheme).c_str(),
                                 [scheme](benchmark::State& state) { dequantize_codes(state, scheme); })
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
  }
  return true;
}();

}  // namespace
}  // namespace bnq::benchmarks
