// A bfloat16 weight, ternary and back: quantize, report, pack, multiply, and say what ran.
#include <bnq/bnq.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <vector>

namespace {

constexpr std::int64_t rows = 256;
constexpr std::int64_t depth = 512;
constexpr std::int64_t tokens = 2;
constexpr std::uint16_t bf16_one = 0x3F80;

/// bfloat16 bit patterns from -2 to +2, the same on every machine: a sign and three random bits of exponent and
/// fraction.
std::vector<std::uint16_t> some_weights() {
  std::vector<std::uint16_t> bits(rows * depth);
  std::uint32_t state = 1;
  for (std::uint16_t& b : bits) {
    state = state * 1664525U + 1013904223U;
    b = static_cast<std::uint16_t>((state >> 16U & 0x8000U) | 0x3C00U | (state >> 20U & 0x03FFU));
  }
  return bits;
}

}  // namespace

int main() {
  try {
    const std::vector<std::uint16_t> weights = some_weights();
    const void* data = weights.data();
    const std::vector<float> bias(rows, 0.5F);

    // [quantize]
    bnq::TensorView w(data, bnq::DType::bf16, {rows, depth});  // your memory, any strides
    bnq::QuantizedTensor q = bnq::quantize(w, bnq::Scheme::parse("ternary"));
    bnq::Report report = bnq::report(w, q);
    std::printf("%s: %.2f dB, %.3f bits a weight\n", q.scheme().to_string().c_str(), report.sqnr_db,
                report.bits_per_weight);
    // [/quantize]

    const std::vector<std::uint16_t> inputs(tokens * depth, bf16_one);
    std::vector<std::uint16_t> outputs(tokens * rows);
    bnq::TensorView x(inputs.data(), bnq::DType::bf16, {tokens, depth});
    bnq::MutableTensorView y(outputs.data(), bnq::DType::bf16, {tokens, rows});

    // [linear]
    bnq::Linear linear(bnq::pack(q), bias);  // kernel and tile: chosen once
    std::vector<std::byte> scratch(linear.scratch_bytes(tokens));
    linear.forward(x, y, scratch);  // const, allocates nothing, any thread
    std::puts(linear.explain().c_str());
    // [/linear]
    return 0;
  } catch (const bnq::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
