#include <bnq/bnq.h>

#include <cstdio>
#include <vector>

int main() {
  const std::vector<float> weight{0.30F, -0.05F, 0.10F, -0.40F, 0.20F, -0.10F, 0.00F, 0.25F};
  const bnq::QuantizedTensor q = bnq::quantize({weight.data(), bnq::DType::f32, {4, 2}}, bnq::Scheme::parse("ternary"));
  const bnq::PackedTensor packed = bnq::pack(q);
  std::printf("%s %zu bytes\n", q.scheme().to_string().c_str(), packed.nbytes());

  const bnq::Linear linear(packed);
  const std::vector<float> x{1.0F, -1.0F};
  std::vector<float> y(4);
  std::vector<std::byte> scratch(linear.scratch_bytes(1));
  linear.forward({x.data(), bnq::DType::f32, {1, 2}}, {y.data(), bnq::DType::f32, {1, 4}}, scratch);
  std::printf("y = %g %g %g %g\n", y[0], y[1], y[2], y[3]);
}
